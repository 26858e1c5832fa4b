"""What only a user's own program needs: of the engines, only `script` is sent it (src/disk/harness-files.ts)."""
