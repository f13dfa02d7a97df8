"""What conf/tables.conf means for one record: read from the file alone, by rules of its own.

    tables(text) -> Table;  Table.row(key, cid, record) -> {column: value}, or None: no row here

Nothing of standpipe is used. Values: text and CIDs as str, timestamptz as microseconds since 1970, jsonb as JSON text.
"""
import base64
import datetime
import re
from dataclasses import dataclass, field

import oracle

SOURCE = re.compile(r"""(?P<type>text\[\]|\w+)\s+(?P<rest>.*)""")
OPTION = re.compile(r"""\s+(required|bad=\w+|default='(?:[^']|'')*')$""")
STEP = re.compile(r"""\.?(?:"(?P<odd>[^"]*)"|(?P<key>[\w$-]+))|(?P<each>\[\])|<(?P<type>[^>]*)>""")
TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
KEY_BYTES = 2048  # of all texts of a record that stand in one entry of an index, or are a key of counts
KINDS = ("text", "integer", "boolean", "timestamptz", "jsonb", "text[]", "cid")
EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()


def steps(path):
    found, at = [], 0
    while at < len(path):
        match = STEP.match(path, at)
        assert match, f"{path} at {at}"
        found.append((match.lastgroup, match[match.lastgroup]))
        at = match.end()
    return found


def main_type(name):
    return name.removesuffix("#main") if isinstance(name, str) else None


def walk(value, path):
    """Every value that the path leads to."""
    values = [value]
    for kind, name in path:
        if kind == "each":
            values = [item for value in values if isinstance(value, list) for item in value]
        elif kind == "type":
            values = [v for v in values if isinstance(v, dict) and main_type(v.get("$type")) == main_type(name)]
        else:
            values = [value[name] for value in values if isinstance(value, dict) and name in value]
    return values


def as_text(value):
    return value.replace("\0", "\ufffd") if isinstance(value, str) else None


def as_integer(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value or abs(value) == float("inf"):
        return None
    return int(value) if value == int(value) and -(2**63) <= value < 2**63 else None


def as_boolean(value):
    return value if isinstance(value, bool) else None


def as_time(value):
    match = TIME.fullmatch(value) if isinstance(value, str) else None
    if not match:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, sign, hours, minutes = match.groups()[6:]
    if hour > 23 or minute > 59 or second > 60 or int(hours or 0) > 23 or int(minutes or 0) > 59:
        return None
    try:
        days = datetime.date(year, month, day).toordinal() - EPOCH_DAY
    except ValueError:
        return None
    offset = (int(hours or 0) * 60 + int(minutes or 0)) * (-60 if sign == "-" else 60)
    seconds = days * 86400 + hour * 3600 + minute * 60 + min(second, 59) - offset
    if not -62135596800 <= seconds < 253402300800:  # an offset has led out of the years 1 to 9999
        return None
    return seconds * 1_000_000 + int(((fraction or "") + "000000")[:6])


def is_cid(text):
    """Version 1 in base32, written as it always is."""
    try:
        cid = base64.b32decode(text[1:].upper() + "=" * (-len(text[1:]) % 8))
    except ValueError:
        return False
    if text != "b" + base64.b32encode(cid).decode().lower().rstrip("="):
        return False
    numbers, at = [], 0
    try:
        while len(numbers) < 4:
            number, at = oracle.read_varint(cid, at)
            numbers.append(number)
    except IndexError:
        return False
    return numbers[0] == 1 and len(cid) - at == numbers[3]


def as_cid(value):
    if isinstance(value, dict):
        if isinstance(value.get("ref"), dict) and "$link" not in value:
            value = value["ref"]
        value = value.get("$link", value.get("cid") if "mimeType" in value else None)
    return value if isinstance(value, str) and is_cid(value) else None


def without_nul(value):
    if isinstance(value, dict):
        return {as_text(key): without_nul(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    return as_text(value) if isinstance(value, str) else value


def as_json(value):
    return oracle.canonical(without_nul(value))


TAKE = {
    "text": as_text, "integer": as_integer, "boolean": as_boolean, "timestamptz": as_time, "cid": as_cid, "jsonb": as_json,
}


def is_short(value, limit):
    return limit is None or not isinstance(value, str) or len(value.encode()) <= limit


def has_array(record, path):
    """Whether the first array of the path is there."""
    first = [kind for kind, _ in path].index("each")
    return any(isinstance(value, list) for value in walk(record, path[:first]))


def items(values, limit):
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    texts = [as_text(item) for item in flat if isinstance(item, str)]
    return [text for text in texts if is_short(text, limit)]


@dataclass
class Column:
    name: str
    type: str
    source: str
    required: bool = False
    default: str = None
    limit: int = None

    def __post_init__(self):
        is_path = self.source[0] not in "@'"
        self.paths = [steps(part.strip()) for part in self.source.split("|")] if is_path else []

    def take(self, value):
        taken = TAKE[self.type](value)
        return taken if is_short(taken, self.limit) else None

    def value(self, record):
        for path in self.paths:
            found = [value for value in walk(record, path) if value is not None]
            if self.type == "text[]":
                taken = items(found, self.limit) if has_array(record, path) else None
            else:
                taken = next((value for value in map(self.take, found) if value is not None), None)
            if taken is not None:
                return taken
        return int(self.default) if self.default is not None and self.type == "integer" else self.default

    def is_text(self):
        return bool(self.paths) and self.type in ("text", "cid", "text[]")

    def of(self, key, cid, record):
        if self.source.startswith("'"):
            return self.source[1:-1].replace("''", "'")
        known = {"@uri": f"at://{'/'.join(key)}", "@did": key[0], "@rkey": key[2], "@cid": cid}
        return known[self.source] if self.source in known else self.value(record)


def standard():
    sources = {"uri": "@uri", "did": "@did", "rkey": "@rkey", "cid": "@cid"}
    columns = {name: Column(name, "text", source) for name, source in sources.items()}
    columns["created_at"] = Column("created_at", "timestamptz", "createdAt")
    return columns


@dataclass
class Table:
    name: str
    columns: dict = field(default_factory=standard)
    collection: str = None
    counts: list = field(default_factory=list)  # (table, key, column, by)
    indexes: list = field(default_factory=list)  # names of columns

    def limit_values(self):
        """What an index could not hold is no value."""
        for names in self.indexes + [[by] for *_, by in self.counts]:
            texts = [self.columns[name] for name in names if name != "sort_at" and self.columns[name].is_text()]
            for column in texts:
                column.limit = min(column.limit or KEY_BYTES, KEY_BYTES // len(texts))

    def row(self, key, cid, record):
        row = {name: column.of(key, cid, record) for name, column in self.columns.items()}
        return None if any(c.required and row[c.name] is None for c in self.columns.values()) else row


def read_column(name, text):
    options = {}
    while option := OPTION.search(text):
        text, word = text[: option.start()], option[1]
        if word == "required":
            options["required"] = True
        elif word.startswith("default="):
            options["default"] = word[9:-1].replace("''", "'")
    match = SOURCE.fullmatch(text)
    assert match and match["type"] in KINDS, text
    return Column(name, match["type"], match["rest"].strip(), **options)


def read_line(table, name, value):
    if name == "collection":
        table.collection = value
    elif name == "count":
        table.counts.append(re.fullmatch(r"(\w+)\((\w+)\)\.(\w+) by (\w+)", value).groups())
    elif name in ("index", "unique"):
        words = re.fullmatch(r"(.*?)(?: using (\w+))?(?: where .*)?", value)
        table.indexes += [] if words[2] == "hash" else [[column.strip() for column in words[1].split(",")]]
    elif name not in ("bad", "existing"):
        table.columns[name] = read_column(name, value)


def tables(text):
    found = {}
    for line in text.splitlines():
        if section := re.fullmatch(r"\[([\w.]+)\]", line.strip()):
            table = found.setdefault(section[1], Table(section[1]))
        elif line.strip() and not line.startswith("#"):
            read_line(table, *(part.strip() for part in line.split("=", 1)))
    for table in found.values():
        table.limit_values()
    return found
