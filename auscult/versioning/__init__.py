"""Everything that talks to git and DVC: commands, lock file, objects, history, graph, worktrees and locks."""
