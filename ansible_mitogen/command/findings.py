"""What a check found out."""

from dataclasses import asdict, dataclass

from ansible_mitogen.command.console import Console

_COLOURS = {'ok': 'green', 'warning': 'yellow', 'problem': 'red'}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    :param where: the host; '' for this machine.
    :param check: what was looked at.
    :param state: ``ok``, ``warning`` (something works less well) or ``problem``.
    :param text: what was found, in a sentence.
    :param remedy: what to do about it.
    """

    where: str
    check: str
    state: str
    text: str
    remedy: str = ''

    def as_json(self) -> dict[str, str]:
        """Return it as plain data."""
        return asdict(self)


def show(findings: list[Finding], console: Console) -> None:
    """Write findings for a person, a paragraph for each place."""
    width = max(len(finding.check) for finding in findings)
    place = None
    for finding in findings:
        if finding.where != place:
            if place is not None:
                console.line()
            place = finding.where
            console.line(console.painted(place or 'This machine', 'bold'))
        state = console.painted(f'{finding.state:<8}', _COLOURS[finding.state])
        console.line(f'  {state} {finding.check:<{width}}  {finding.text}')
        if finding.remedy:
            console.line(f'  {"":<8} {"":<{width}}  -> {finding.remedy}')
    console.line()
    problems = sum(finding.state == 'problem' for finding in findings)
    warnings = sum(finding.state == 'warning' for finding in findings)
    console.line(f'{_count(problems, "problem")}, {_count(warnings, "warning")}.')


def _count(number: int, noun: str) -> str:
    return f'{number or "no"} {noun}{"" if number == 1 else "s"}'
