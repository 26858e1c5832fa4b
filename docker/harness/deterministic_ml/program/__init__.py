"""What only a user's own program needs: no harness that is sent to an engine holds it (src/disk/harness-files.ts)."""
