"""Messages as proto/PROTOCOL.md tells them: its tables are read and become encoder and decoder. Standard library only.

    page = Page("proto/PROTOCOL.md")
    data = page.encode("ping", {"client": "me"}, id=7, version=2)
    name, fields, id, version = page.decode(data)
    page.numbers["job_state"]["done"]

Fields that are left out are empty. A message is a dict, a record too, a hash is 32 bytes, hashes a list of them. Wrong input is a
ValueError. decode() is as strict as the page: what it takes it would write as the same bytes.
"""

import math
import re
import struct

LIMITS = {"2^64-1": 2**64 - 1, "2^63-1": 2**63 - 1}
BYTES, DEPTH, VALUES = 4 << 20, 8, 100_000


def limit(text):
    return LIMITS.get(text) or int(text)


class Page:
    def __init__(self, path):
        self.records, self.messages, self.number_of, self.numbers = {}, {}, {}, {}
        self.newest = 0
        with open(path, encoding="utf-8") as f:
            text = f.read()
        self.newest = int(re.search(r"^# The protocol, version (\d+)", text).group(1))
        for section in re.split(r"^#{2,3} ", text, flags=re.M)[1:]:
            title, body = section.split("\n", 1)
            if title == "Numbers":
                self._read_numbers(body)
            elif title.startswith("record "):
                self.records[title[7:]] = self._read_table(body, 1)
            elif re.fullmatch(r"\d+ \w+", title):
                number, name = title.split()
                since = int((re.search(r"^Since (\d+)\.", body, re.M) or [0, 1])[1])
                self.messages[name] = (since, self._read_table(body, since))
                self.number_of[name] = int(number)
        self.name_of = {number: name for name, number in self.number_of.items()}
        self.examples = [bytes.fromhex(line.strip()) for line in
                         re.findall(r"^    ((?:[0-9a-f]{2} ?)+)$", text, re.M)]

    def _read_table(self, body, since):
        fields = []
        for name, kind, meaning in re.findall(r"^\| `(\w+)` \| (.*?) \| ?(.*?) ?\|$", body, re.M):
            later = re.match(r"since (\d+)\.", meaning)
            fields.append((name, kind, int(later[1]) if later else since))
        return fields

    def _read_numbers(self, body):
        for name, words in re.findall(r"^\| `(\w+)` \| (.*?) \|$", body, re.M):
            self.numbers[name] = {w: int(n) for n, w in re.findall(r"(\d+) ([\w-]+)", words)}

    # ---- encode

    def encode(self, name, fields, id, version=None):
        version = version or self.newest
        since, table = self.messages[name]
        if version < since:
            raise ValueError(f"{name} is there since version {since}")
        data = b"\x94" + number(version) + number(self.number_of[name]) + number(id)
        data += self._encode_map(name, table, fields, version)
        if len(data) > BYTES:
            raise ValueError(f"{name}: {len(data)} bytes")
        return data

    def _encode_map(self, where, table, values, version):
        there = [f for f in table if f[2] <= version]
        if set(values) - {f[0] for f in there}:
            raise ValueError(f"{where} has no {set(values) - {f[0] for f in there}}")
        out = [head(len(there), 0x80, 15, None, 0xDE)]
        for name, kind, _ in there:
            out.append(text(name) + self._encode_value(f"{where}.{name}", kind, values.get(name), version))
        return b"".join(out)

    def _encode_value(self, where, kind, value, version):
        word, _, rest = kind.partition(" <= ")
        if word == "u64":
            return within(where, value or 0, limit(rest)) and number(value or 0)
        if word == "i64":
            return number(value or 0)
        if word == "f64":
            value = 0.0 if value is None else value     # -0.0 is a number of its own
            if not math.isfinite(value):
                raise ValueError(f"{where}: not finite")
            return b"\xcb" + struct.pack(">d", value)
        if word == "str":
            return within(where, len((value or "").encode()), limit(rest)) and text(value or "")
        if word == "bytes":
            return within(where, len(value or b""), limit(rest)) and binary(value or b"")
        if word == "hash":
            return within(where, len(value or bytes(32)), 32) and binary(value or bytes(32))
        if word == "hashes":
            return within(where, len(value or []), limit(rest)) and binary(b"".join(value or []))
        most, _, of = rest.partition(" of ")
        value = value or []
        within(where, len(value), limit(most))
        rows = (self._encode_map(where, self.records[of], v, version) if of in self.records
                else self._encode_value(where, of, v, version) for v in value)
        return head(len(value), 0x90, 15, None, 0xDC) + b"".join(rows)

    # ---- decode

    def decode(self, data):
        if len(data) > BYTES:
            raise ValueError("too long")
        value, end = read_value(data, 0, 0, [0])
        if end != len(data):
            raise ValueError("bytes after the end")
        version, kind, id, fields = value
        if not 1 <= version <= self.newest:
            raise ValueError(f"version {version}")
        name = self.name_of[kind]
        message = self._typed(self.messages[name][1], fields, version)
        if self.encode(name, message, id, version) != data:
            raise ValueError(f"{name}: not as we would write it")
        return name, message, id, version

    def _typed(self, table, fields, version):
        out = {}
        for name, kind, since in table:
            if since > version:
                continue
            value = fields[name]
            if kind.startswith("hashes"):
                value = [value[i:i + 32] for i in range(0, len(value), 32)]
            elif " of " in kind and kind.split(" of ")[1] in self.records:
                value = [self._typed(self.records[kind.split(" of ")[1]], v, version) for v in value]
            out[name] = value
        if len(out) != len(fields):
            raise ValueError("unknown fields")
        return out


# ---- msgpack, as far as the page needs it


def within(where, value, most):
    if not 0 <= value <= most:
        raise ValueError(f"{where}: {value} is beyond {most}")
    return True


def number(v):
    if v >= 0:
        for most, form, first in ((0x7F, ">B", b""), (0xFF, ">B", b"\xcc"), (0xFFFF, ">H", b"\xcd"),
                                  (0xFFFFFFFF, ">I", b"\xce"), (2**64 - 1, ">Q", b"\xcf")):
            if v <= most:
                return first + struct.pack(form, v)
    for least, form, first in ((-32, ">b", b""), (-2**7, ">b", b"\xd0"), (-2**15, ">h", b"\xd1"),
                               (-2**31, ">i", b"\xd2"), (-2**63, ">q", b"\xd3")):
        if v >= least:
            return first + struct.pack(form, v)
    raise ValueError(f"{v} has no 64 bits")


def head(n, base, fixed, h8, h16):
    if n <= fixed:
        return bytes([base + n])
    if h8 and n <= 0xFF:
        return bytes([h8, n])
    if n <= 0xFFFF:
        return bytes([h16]) + struct.pack(">H", n)
    return bytes([h16 + 1]) + struct.pack(">I", n)


def text(s):
    data = s.encode("utf-8")
    if b"\0" in data:
        raise ValueError("NUL in a text")
    return head(len(data), 0xA0, 31, 0xD9, 0xDA) + data


def binary(b):
    return head(len(b), 0, -1, 0xC4, 0xC5) + b


def read_value(data, at, depth, seen):
    """One value and where it ends. Lengths are believed only as far as there are bytes."""
    seen[0] += 1
    if at >= len(data) or depth > DEPTH or seen[0] > VALUES:
        raise ValueError("cut short, too deep or too much")
    h, at = data[at], at + 1

    def take(n):
        nonlocal at
        if n > len(data) - at:
            raise ValueError("cut short")
        at += n
        return data[at - n:at]

    def unsigned(n):
        return int.from_bytes(take(n), "big")

    if h < 0x80:
        return h, at
    if h >= 0xE0:
        return h - 0x100, at
    if 0xCC <= h <= 0xCF:
        return unsigned(1 << (h - 0xCC)), at
    if 0xD0 <= h <= 0xD3:
        return int.from_bytes(take(1 << (h - 0xD0)), "big", signed=True), at
    if h == 0xCB:
        return struct.unpack(">d", take(8))[0], at
    if 0xA0 <= h < 0xC0 or 0xD9 <= h <= 0xDB:
        raw = bytes(take(h - 0xA0 if h < 0xC0 else unsigned(1 << (h - 0xD9))))
        return raw.decode("utf-8"), at
    if 0xC4 <= h <= 0xC6:
        return bytes(take(unsigned(1 << (h - 0xC4)))), at
    if 0x90 <= h < 0xA0 or h in (0xDC, 0xDD):
        n = h - 0x90 if h < 0xA0 else unsigned(2 if h == 0xDC else 4)
        out = []
        for _ in range(n):
            value, at = read_value(data, at, depth + 1, seen)
            out.append(value)
        return out, at
    if 0x80 <= h < 0x90 or h in (0xDE, 0xDF):
        n = h - 0x80 if h < 0x90 else unsigned(2 if h == 0xDE else 4)
        out = {}
        for _ in range(n):
            key, at = read_value(data, at, depth + 1, seen)
            out[key], at = read_value(data, at, depth + 1, seen)
        if len(out) != n:
            raise ValueError("a key twice")
        return out, at
    raise ValueError(f"0x{h:02x} does not occur")
