"""The worker processes of the sandbox: how they are started, confined, asked and judged."""
