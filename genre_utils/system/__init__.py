"""What any program needs: files on disk, progress, quiet streams, terminals, and work spread over processes."""
