"""git and DVC: commands, lock files, objects, worktrees, and the lock on a running pipeline."""
