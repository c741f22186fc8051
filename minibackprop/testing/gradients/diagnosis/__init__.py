"""What is likely wrong with a gradient: `cause` asks each suspicion in turn, and these are held against `evidence`."""
