"""What all other folders build on: parameters, records, tasks, paths, storage, digests, errors, process set-up."""
