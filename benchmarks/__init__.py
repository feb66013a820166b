"""What is measured and tried: accuracy, speed and reliability; each module is a command of its own."""
