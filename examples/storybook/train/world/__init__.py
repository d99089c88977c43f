"""The drawn world of Storybook: what can be drawn, how it is drawn, and what can be said about it."""
