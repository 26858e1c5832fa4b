"""The program that runs inside a runtime, takes commands and writes events (src/engine/protocol.ts)."""
