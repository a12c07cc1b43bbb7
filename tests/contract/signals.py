"""What the processes of the tests on a running platform tell each other; imports nothing, since each has another surrounding."""

# Before the codes that stand in for somebody's second factor, and when the staff is there.
CODES = "CODES"
READY = "at work"
# Before the address where sign-in links of new people are handed out.
PEOPLE = "PEOPLE"
# Of the devices that approve something.
PIN = "493021"
