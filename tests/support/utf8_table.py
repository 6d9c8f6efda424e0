"""What is UTF-8 and what is not: the ranges of RFC 3629, section 4, and sequences made of them."""

TAIL = (0x80, 0xBF)
# The syntax of the RFC: the range of each byte of a character.
CHARACTERS = [
    ((0x00, 0x7F),),
    ((0xC2, 0xDF), TAIL),
    ((0xE0, 0xE0), (0xA0, 0xBF), TAIL),
    ((0xE1, 0xEC), TAIL, TAIL),
    ((0xED, 0xED), (0x80, 0x9F), TAIL),
    ((0xEE, 0xEF), TAIL, TAIL),
    ((0xF0, 0xF0), (0x90, 0xBF), TAIL, TAIL),
    ((0xF1, 0xF3), TAIL, TAIL, TAIL),
    ((0xF4, 0xF4), (0x80, 0x8F), TAIL, TAIL),
]
CUT = 'cut'


def bad_at(data):
    """The place of the first byte that no text can have there; CUT: the text ends inside a
    character; None: it is UTF-8."""
    place = 0
    while place < len(data):
        ranges = next((row for row in CHARACTERS if row[0][0] <= data[place] <= row[0][1]), None)
        if ranges is None:
            return place
        for low, high in ranges[1:]:
            place += 1
            if place == len(data):
                return CUT
            if not low <= data[place] <= high:
                return place
        place += 1
    return None


def unfinished():
    """Beginnings of characters: of the first and of the last character of each row."""
    found = []
    for row in CHARACTERS:
        for size in range(1, len(row)):
            found.append(bytes(low for low, _ in row[:size]))
            found.append(bytes(high for _, high in row[:size]))
    return list(dict.fromkeys(found))


def firsts():
    """Every byte that begins a character of more than one byte."""
    return [bytes([byte]) for byte in range(0xC2, 0xF5)]


def borders():
    """The first and last character of each row of the syntax, and of each length."""
    found = []
    for ranges in CHARACTERS:
        found.append(bytes(low for low, _ in ranges))
        found.append(bytes(high for _, high in ranges))
    return found


def in_any_form(number, size):
    """The number in so many bytes, as if there were no limit to it: overlong if need be."""
    if size == 1:
        return bytes([number])
    tail = [0x80 | number >> 6 * place & 0x3F for place in reversed(range(size - 1))]
    return bytes([0xFF << 7 - size & 0xFF | number >> 6 * (size - 1), *tail])


KOSME = 'κόσμε'.encode()

# The rows of the suite's section 6: (number, bytes). Right and wrong ones together.
SUITE = [
    ('6.2', 'Hello-µ@ßöäüàá-UTF-8!!'.encode()),
    ('6.3', KOSME + in_any_form(0xD800, 3) + b'edited'),
    ('6.4', KOSME + in_any_form(0x110000, 4) + b'edited'),
    ('6.5', KOSME),
    *[(f'6.6.{length}', KOSME[:length]) for length in range(1, len(KOSME))],
    *[(f'6.7.{size}', in_any_form(lowest, size))
      for size, lowest in ((1, 0), (2, 0x80), (3, 0x800), (4, 0x10000))],
    *[(f'6.8.{size - 4}', in_any_form(lowest, size))
      for size, lowest in ((5, 1 << 21), (6, 1 << 26))],
    *[(f'6.9.{size}', in_any_form(highest, size))
      for size, highest in ((1, 0x7F), (2, 0x7FF), (3, 0xFFFF), (4, 0x10FFFF))],
    ('6.9 and one more', in_any_form(0x1FFFFF, 4)),
    *[(f'6.10.{size - 4}', in_any_form(highest, size))
      for size, highest in ((5, (1 << 26) - 1), (6, (1 << 31) - 1))],
    *[(f'6.11.{row}', in_any_form(number, size)) for row, (number, size) in
      enumerate(((0xD7FF, 3), (0xE000, 3), (0xFFFD, 3), (0x10FFFF, 4), (0x110000, 4)), 1)],
    *[(f'6.12.{count}', (b'\x80\xbf' * 4)[:count]) for count in range(1, 8)],
    ('6.12.8', bytes(range(0x80, 0xC0))),
    *[(f'6.13 {first:#x} and a blank', bytes([first, 0x20])) for first in range(0xC0, 0xFE)],
    *[(f'6.14 the lowest of {size} bytes without its last', in_any_form(lowest, size)[:-1])
      for size, lowest in ((2, 0x80), (3, 0x800), (4, 0x10000), (5, 1 << 21), (6, 1 << 26))],
    *[(f'6.14 the highest of {size} bytes without its last', in_any_form(highest, size)[:-1])
      for size, highest in ((2, 0x7FF), (3, 0xFFFF), (4, 0x10FFFF), (5, (1 << 26) - 1))],
    ('6.15', b''.join(in_any_form(lowest, size)[:-1]
                      for size, lowest in ((2, 0x80), (3, 0x800), (4, 0x10000), (5, 1 << 21)))),
    ('6.16.1', b'\xfe'), ('6.16.2', b'\xff'), ('6.16.3', b'\xfe\xfe\xff\xff'),
    *[(f'6.17.{size - 1}', in_any_form(0x2F, size)) for size in range(2, 7)],
    *[(f'6.18.{size - 1}', in_any_form(highest, size)) for size, highest in
      ((2, 0x7F), (3, 0x7FF), (4, 0xFFFF), (5, 0x1FFFFF), (6, 0x3FFFFFF))],
    *[(f'6.19.{size - 1}', in_any_form(0, size)) for size in range(2, 7)],
    *[(f'6.20 {half:#x}', in_any_form(half, 3))
      for half in (0xD800, 0xDB7F, 0xDB80, 0xDBFF, 0xDC00, 0xDF80, 0xDFFF)],
    *[(f'6.21 {high:#x} {low:#x}', in_any_form(high, 3) + in_any_form(low, 3))
      for high in (0xD800, 0xDB7F, 0xDB80, 0xDBFF) for low in (0xDC00, 0xDFFF)],
    *[(f'6.22 {plane << 16 | low:#x}', chr(plane << 16 | low).encode())
      for plane in range(17) for low in (0xFFFE, 0xFFFF)],
    *[(f'6.23 {number:#x}', chr(number).encode()) for number in range(0xFFF9, 0x10000)],
]
