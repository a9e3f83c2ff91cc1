"""Policy gradients for language models: losses over rollouts, made of few parts, and presets by frameworks' names."""
