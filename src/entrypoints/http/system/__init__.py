"""What describes and watches the service itself: health, problems, documentation."""
