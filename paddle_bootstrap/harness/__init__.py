"""Runs checks with pytest in this process and their workloads in the target's. Checks import ``expect`` and ``few``."""

from paddle_bootstrap.harness.expect import CheckFailed, expect, few

__all__ = ["CheckFailed", "expect", "few"]
