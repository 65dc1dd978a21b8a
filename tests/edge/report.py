"""What was measured, and whether it keeps its bound."""


class Part:
    def __init__(self, rows, name):
        self.rows = rows
        self.name = name

    def add(self, what, measured, bound, is_kept):
        """One line: what, the measurement in words, the bound in words, whether it is kept."""
        self.rows.append({"part": self.name, "what": what, "measured": measured, "bound": bound, "kept": bool(is_kept)})
        print(f"{'ok  ' if is_kept else 'FAIL'} {self.name}: {what}: {measured}", flush=True)

    def most(self, what, value, bound, unit):
        """A number that must not be above `bound`."""
        self.add(what, f"{value:.1f} {unit}", f"at most {bound:g} {unit}", value <= bound)


class Report:
    def __init__(self):
        self.rows = []
        self.seconds = {}

    def part(self, name):
        return Part(self.rows, name)

    def took(self, name, seconds):
        self.seconds[name] = round(seconds, 1)

    def is_kept(self):
        return all(row["kept"] for row in self.rows)

    def data(self):
        return {"seconds": self.seconds, "rows": self.rows}

    def table(self):
        head = {"part": "part", "what": "what", "measured": "measured", "bound": "bound"}
        lines = [head, *self.rows]
        names = ("part", "what", "measured", "bound")
        widths = {name: max(len(line[name]) for line in lines) for name in names}
        text = ["", *("  ".join(line[name].ljust(widths[name]) for name in names) + self.mark(line) for line in lines)]
        took = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items())
        broken = sum(not row["kept"] for row in self.rows)
        text.append(f"{len(self.rows)} measured, {broken} out of bounds; {took}")
        return "\n".join(text)

    @staticmethod
    def mark(line):
        return "" if line.get("kept", True) else "  FAIL"
