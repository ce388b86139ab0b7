# SPDX-License-Identifier: MIT
"""Whether members get what they must: the numbers of each author, in order."""


class Auditor:
    def __init__(self, replicas):
        self.problems = []
        self.received = 0
        self.replica_of = {}
        self._missed = [set() for _ in range(replicas)]  # by its members, of other replicas

    def member(self, name, replica):
        self.replica_of[name] = replica
        return Audit(self, name, replica)

    def missed(self, replica):
        """How many messages of others some member of a replica did not get."""
        return len(self._missed[replica])

    def miss(self, replica, author, numbers):
        self._missed[replica].update((author, number) for number in numbers)

    def object(self, problem):
        if len(self.problems) < 20:
            self.problems.append(problem)


class Audit:
    """What one member got. It counts from the first message that it gets of an author."""

    def __init__(self, auditor, name, replica):
        self._auditor = auditor
        self._name = name
        self._replica = replica
        self._last = {}

    def last(self, author):
        """0: nothing yet."""
        return self._last.get(author, 0)

    def note(self, payload):
        if payload.startswith(b"flood"):
            self._auditor.object(f"{self._name} got what is for another room")
            return
        author, number = map(int, payload.split())
        self._auditor.received += 1
        last = self._last.get(author)
        self._last[author] = number
        if last is None:
            if author == self._name and number != 1:
                self._auditor.object(f"{author} did not get its own first message but {number}")
            return
        if number == last + 1:
            return
        what = f"{self._name} got {number} of {author} after {last}"
        if number <= last:
            self._auditor.object(what)
        elif self._auditor.replica_of[author] == self._replica:
            self._auditor.object(what + ", of its own replica")
        else:
            self._auditor.miss(self._replica, author, range(last + 1, number))
