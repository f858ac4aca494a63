"""The shapes of `keim.saip.new`, one file each. Must never import anything above floor 0."""
