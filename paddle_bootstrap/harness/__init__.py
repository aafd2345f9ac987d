"""Runs checks with pytest in this process and their workloads in the target's. Check authors need ``expect`` alone."""

from paddle_bootstrap.harness.expect import CheckFailed, expect

__all__ = ["CheckFailed", "expect"]
