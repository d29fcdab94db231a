"""What a file really is: signatures, containers and the voice of libmagic."""
