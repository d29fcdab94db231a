"""The benchmark: our service, the textbook way, and nginx, on the same machine in the same run."""
