"""What everybody is asked for: a year ahead, 10 % a year, ages in weeks counted by day.

The peers discount in monthly steps and take a month to be 4.345 weeks; we discount continuously.
So values differ by a few per cent by definition, and the results show them side by side.
"""

END = "2023-12-31"
WEEKS = 52
MONTHS = 12
YEARLY_RATE = 0.10
MONTHLY_RATE = (1 + YEARLY_RATE) ** (1 / 12) - 1
