"""The order of ids: by the numbers in them, since as text 1001-9 comes after 1001-30."""

from django.db.models import F, OrderBy
from django.db.models.functions import Length


def by_id(*columns: str, is_descending: bool) -> tuple[OrderBy, ...]:
    """Return what sorts rows of one account by ids such as 1001-9 (1001-9.1 under a column with its 1001-9).

    Before ids that begin alike, the longer number is the greater one. A query that sorts by a time first keeps the index of the times:
    only the rows of one instant are sorted by this.
    """
    keys = [key for column in columns for key in (Length(column), F(column))]
    return tuple(key.desc() if is_descending else key.asc() for key in keys)
