"""What every room uses: parameters, records, tasks, paths, storage, digests, errors and process set-up."""
