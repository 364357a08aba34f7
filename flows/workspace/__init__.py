"""Where a flow works: a throw-away worktree, git and DVC as commands, the stages as DVC sees them."""
