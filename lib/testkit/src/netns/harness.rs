//! Runs cases as processes and reports them as libtest does.

use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::netns::args::{Args, CHILD};
use crate::netns::space::enter;

/// The time limit of a case; the slowest does ten thousand cycles.
const LIMIT: Duration = Duration::from_mins(5);
/// The poll interval for a running case.
const TICK: Duration = Duration::from_millis(10);

/// One case. It fails by panicking.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Its name: a sentence.
    pub name: &'static str,
    /// Its code, which runs in its own namespaces.
    pub run: fn(),
}

/// The `main` of a test target: runs the cases that the command line selects, each as a process in
/// its own namespaces, and prints what libtest would.
#[must_use]
pub fn run(cases: &[Case]) -> ExitCode {
    run_entering(cases, enter)
}

/// The same for cases that need another environment than [`enter`] creates: each process calls
/// `enter` before its case.
#[must_use]
pub fn run_entering(cases: &[Case], enter: fn()) -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(why) => {
            return print_line(&format!("error: {why}")).map_or(ExitCode::FAILURE, |()| 2.into());
        }
    };
    if let Some(name) = &args.child {
        let case = cases.iter().find(|case| case.name == name).expect("a case of this name");
        enter();
        (case.run)();
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<Case> = cases.iter().filter(|case| args.wants(case.name)).copied().collect();
    let done = if args.list { list(&wanted) } else { all(&wanted, cases.len(), &args) };
    done.unwrap_or(ExitCode::FAILURE)
}

fn list(wanted: &[Case]) -> io::Result<ExitCode> {
    wanted.iter().try_for_each(|case| print_line(&format!("{}: test", case.name)))?;
    print_line(&format!("\n{} tests, 0 benchmarks", wanted.len()))?;
    Ok(ExitCode::SUCCESS)
}

fn all(wanted: &[Case], known: usize, args: &Args) -> io::Result<ExitCode> {
    let plural = if wanted.len() == 1 { "" } else { "s" };
    print_line(&format!("\nrunning {} test{plural}", wanted.len()))?;
    let queue = Mutex::new(wanted.iter());
    let failures = Mutex::new(Vec::new());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some(case) = next() {
            let (ok, output) = one(case, args.capture);
            let verdict = if ok { "ok" } else { "FAILED" };
            drop(print_line(&format!("test {} ... {verdict}", case.name)));
            if !ok {
                let mut failed = failures.lock().unwrap_or_else(PoisonError::into_inner);
                failed.push((case.name, output));
            }
        }
    };
    let here = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _thread in 0..args.threads.unwrap_or(here).max(1) {
            scope.spawn(work);
        }
    });
    let failed = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    report(wanted.len(), known, &failed)
}

fn report(ran: usize, known: usize, failed: &[(&str, String)]) -> io::Result<ExitCode> {
    for (name, output) in failed {
        print_line(&format!("\n---- {name} ----\n{output}"))?;
    }
    if !failed.is_empty() {
        print_line("\nfailures:")?;
        failed.iter().try_for_each(|(name, _output)| print_line(&format!("    {name}")))?;
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    let (passed, out) = (ran - failed.len(), known - ran);
    let failed_count = failed.len();
    print_line(&format!(
        "\ntest result: {verdict}. {passed} passed; {failed_count} failed; 0 ignored; \
         0 measured; {out} filtered out\n"
    ))?;
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) })
}

fn one(case: &Case, capture: bool) -> (bool, String) {
    let exe = std::env::current_exe().expect("the path of this test");
    let mut command = Command::new(exe);
    command.args([CHILD, case.name]).stdin(Stdio::null());
    if capture {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    let mut child = command.spawn().expect("start a case");
    // Both pipes are read while the case runs; otherwise a case with much output would hang.
    thread::scope(|scope| {
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let out = scope.spawn(move || text_of(out));
        let err = scope.spawn(move || text_of(err));
        let status = wait(&mut child);
        let mut text = out.join().unwrap_or_default() + &err.join().unwrap_or_default();
        if status.is_none() {
            text.push_str("\nthe case exceeded its time limit and was killed");
        }
        (status.is_some_and(|status| status.success()), text)
    })
}

fn text_of(pipe: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        drop(pipe.read_to_end(&mut bytes));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let mut left = LIMIT;
    loop {
        if let Some(status) = child.try_wait().expect("wait for a case") {
            return Some(status);
        }
        left = left.checked_sub(TICK).unwrap_or_default();
        if left.is_zero() {
            child.kill().expect("end a case");
            child.wait().expect("wait for a case");
            return None;
        }
        thread::sleep(TICK);
    }
}

fn print_line(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}
