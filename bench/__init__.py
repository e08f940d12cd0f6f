"""Speed and size, each figure beside a peer in the same run. Printed, never asserted."""
