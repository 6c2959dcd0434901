"""What a shard costs beyond its work, by runner."""
