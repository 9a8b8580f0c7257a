"""The gallery and the leaderboard, from files alone."""
