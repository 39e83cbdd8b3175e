"""A client of RabbitMQ: client.py produce|consume ADDRESS...

`produce` prints each number that the brokers confirm, `consume` each one that is in the queue.
"""

import itertools
import random
import signal
import sys
import time

import pika

QUEUE = "numbers"
DURABLE = pika.BasicProperties(delivery_mode=2)


def channel_of(addresses):
    """A channel to any member that answers."""
    members = [
        pika.ConnectionParameters(
            address, heartbeat=4, socket_timeout=2, stack_timeout=4, blocked_connection_timeout=10
        )
        for address in random.sample(addresses, len(addresses))
    ]
    channel = pika.BlockingConnection(members).channel()
    channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
    channel.confirm_delivery()
    return channel


def produce(addresses):
    channel = None
    for number in itertools.count():
        # No answer counts as a refusal.
        signal.alarm(10)
        try:
            channel = channel or channel_of(addresses)
            channel.basic_publish("", QUEUE, b"%d" % number, DURABLE, mandatory=True)
            print(number, flush=True)
            time.sleep(0.02)
        except (pika.exceptions.AMQPError, OSError) as error:
            signal.alarm(0)
            print(f"{number} is not confirmed: {error!r}", file=sys.stderr, flush=True)
            channel = None
            time.sleep(0.2)


def consume(addresses):
    channel = channel_of(addresses)
    for message, _, body in channel.consume(QUEUE, inactivity_timeout=3):
        if message is None:
            break
        print(int(body))
        channel.basic_ack(message.delivery_tag)


def late(*_):
    raise TimeoutError


signal.signal(signal.SIGALRM, late)
{"produce": produce, "consume": consume}[sys.argv[1]](sys.argv[2:])
