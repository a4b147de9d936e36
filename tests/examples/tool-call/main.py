import datetime


def helper(days: int) -> datetime.timedelta:
    return datetime.timedelta(days=days)


def due_date(start: datetime.date, days: int = 14) -> str:
    print("not part of the result")
    return str(start + helper(days))
