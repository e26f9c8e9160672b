"""What knows nothing of networks: files written whole or not at all, run folders, threads."""
