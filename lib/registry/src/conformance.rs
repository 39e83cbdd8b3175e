//! One suite for every registry.
