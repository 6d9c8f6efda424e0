"""The ways in which clients come, talk and go: what each Guest of a crowd does, at random.

A way is a coroutine way(guest, dice); what it decides it takes from `dice`, a random.Random of its
own. Guests that are cut off in the middle of it raise Ended; that is no error. `guest.crowd.span`
is the time, in seconds, over which things are to happen, `guest.crowd.sizes` those of messages.
"""
from crowd import Ended  # noqa: F401 (whoever runs a way wants to know it)
from peer import BINARY, PING, TEXT, frame, request_head, upgrade_head

SIZES = [0, 1, 5, 125, 126, 1000, 4097, 20000]
CLOSE_CODES = [1000, 1005, 3000, 4999]
BAD_REQUESTS = [b'\r\n\r\n', b'GET\r\n\r\n', b'GET / HTTP/1.1\r\n\r\n', b'\x16\x03\x01\x02\0\x01\0',
                b'GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n', b'GET / HTTP/1.1\r\nHost: x\r\nA\r\n\r\n']
BAD_FRAMES = [frame(TEXT, b'unmasked', mask=None), frame(3, b'reserved'), frame(TEXT, b'x', rsv=2),
              frame(TEXT, b'\xff\xfe'), frame(PING, b'x' * 126), frame(0, b'not begun'),
              frame(BINARY, b'', claim=1 << 40)]


async def talk(guest, dice, most=6):
    """Says a few things, and waits for all echoes now and then."""
    for _ in range(dice.randrange(most)):
        size = dice.choice(guest.crowd.sizes)
        if dice.random() < 0.5:
            await guest.say((b'%08d ' % guest.sent * (size // 9 + 1))[:size], TEXT)
        else:
            await guest.say(dice.randbytes(size), BINARY, dice.choice([1, 1, 1, 2, 5]))
        if dice.random() < 0.1:
            await guest.send(frame(PING, b'are you there'))
        if dice.random() < 0.4:
            await guest.until(lambda: guest.echoed == guest.sent or guest.closing(),
                              guest.crowd.span)


def moment(guest, dice):
    return dice.random() * guest.crowd.span


async def wait_end(guest):
    await guest.until(lambda: False)


# --- sessions that keep to the protocol ---

async def closes(guest, dice):
    await guest.enter()
    await talk(guest, dice)
    await guest.pause(moment(guest, dice))
    await guest.say_close(dice.choice(CLOSE_CODES))
    await wait_end(guest)


async def stays(guest, dice):
    """Until the server closes; on a route that waits, or where nobody stops it, for a while."""
    await guest.enter()
    for _ in range(dice.randrange(2, 6)):
        await talk(guest, dice, 3)
        if await guest.until(guest.closing, moment(guest, dice)):
            break
    if not guest.crowd.lasting and guest.crowd.waits(guest.path):
        await guest.say_close(1000)
    await guest.until(guest.closing)
    if guest.close_sent is None:
        if dice.random() < 0.5:
            await talk(guest, dice)  # behind the server's Close, before its own
        await guest.say_close(guest.close_read)
    await wait_end(guest)


async def closes_and_half_closes(guest, dice):
    await guest.enter()
    await talk(guest, dice)
    await guest.pause(moment(guest, dice))
    await guest.say_close(1000)
    guest.half_close()
    await wait_end(guest)


async def sends_a_frame_in_pieces(guest, dice):
    await guest.enter()
    payload = dice.randbytes(dice.choice(SIZES[1:]))
    raw = frame(BINARY, payload)
    cut = dice.randrange(1, len(raw))
    guest.awaited.append((BINARY, payload) if guest.crowd.echoes(guest.path) else None)
    await guest.send(raw[:cut])
    await guest.pause(moment(guest, dice))
    await guest.send(raw[cut:])
    guest.sent += 1
    await guest.say_close(3000)
    await wait_end(guest)


async def stalls_for_a_while(guest, dice):
    """More than the sockets hold comes back to one that does not read."""
    await guest.enter(receive_buffer=4096)
    await guest.stall()
    for _ in range(8):
        await guest.say(dice.randbytes(20000))
    await guest.pause(moment(guest, dice))
    guest.listen()
    await guest.say_close(1000)
    await wait_end(guest)


# --- sessions that do not ---

async def is_silent(guest, dice):
    """Never answers the Close."""
    await guest.enter()
    await talk(guest, dice)
    await wait_end(guest)


async def is_silent_in_half_a_frame(guest, dice):
    await guest.enter()
    await guest.send(frame(BINARY, b'x' * 50)[:dice.randrange(1, 50)])
    await wait_end(guest)


async def vanishes(guest, dice):
    await guest.enter()
    await talk(guest, dice)
    await guest.pause(moment(guest, dice))
    await guest.leave()


async def resets(guest, dice):
    await guest.enter()
    await talk(guest, dice)
    await guest.pause(moment(guest, dice))
    await guest.leave(reset=True)


async def vanishes_at_the_close(guest, dice):
    await guest.enter()
    await guest.until(guest.closing, 2 * guest.crowd.span)
    await guest.leave(reset=dice.random() < 0.5)


async def half_closes(guest, dice):
    await guest.enter()
    await talk(guest, dice)
    await guest.pause(moment(guest, dice))
    guest.half_close()
    await wait_end(guest)


async def leaves_in_half_a_frame(guest, dice):
    await guest.enter()
    await guest.send(frame(BINARY, b'x' * 200)[:dice.randrange(1, 200)])
    await guest.pause(moment(guest, dice))
    if dice.random() < 0.3:
        guest.half_close()
        await wait_end(guest)
    await guest.leave(reset=dice.random() < 0.5)


async def closes_and_leaves(guest, dice):
    await guest.enter()
    await talk(guest, dice)
    await guest.pause(moment(guest, dice))
    await guest.say_close(1000)
    await guest.leave(reset=dice.random() < 0.5)


async def babbles_behind_its_close(guest, dice):
    await guest.enter()
    await guest.pause(moment(guest, dice))
    await guest.say_close(1000)
    guest.babbled = True
    for _ in range(5):
        await guest.send(frame(TEXT, b'and another thing'))
    await wait_end(guest)


async def breaks_the_protocol(guest, dice):
    await guest.enter()
    await talk(guest, dice)
    await guest.pause(moment(guest, dice))
    await guest.send(dice.choice(BAD_FRAMES))
    guest.erred_at = guest.crowd.now()
    await guest.until(guest.closing)
    if dice.random() < 0.5:
        await guest.say_close(guest.close_read)
    await guest.leave()


async def stalls_and_leaves(guest, dice):
    await guest.enter(receive_buffer=4096)
    await guest.stall()
    for _ in range(8):
        await guest.say(dice.randbytes(20000))
    await guest.pause(moment(guest, dice))
    await guest.leave(reset=dice.random() < 0.5)


# --- before there is a session ---

async def says_nothing(guest, dice):
    await guest.connect()
    guest.listen()
    await guest.pause(moment(guest, dice) * 3)
    await guest.leave(reset=dice.random() < 0.5)


async def asks_half(guest, dice):
    await guest.connect()
    guest.listen()
    raw = upgrade_head(guest.path)
    await guest.send(raw[:dice.randrange(1, len(raw))])
    await guest.pause(moment(guest, dice))
    what = dice.randrange(4)
    if what == 0:
        await guest.leave()
    elif what == 1:
        await guest.leave(reset=True)
    else:
        if what == 2:
            guest.half_close()
        await wait_end(guest)


async def asks_and_leaves(guest, dice):
    await guest.ask_upgrade()
    await guest.leave(reset=dice.random() < 0.5)


async def asks_and_half_closes(guest, dice):
    await guest.ask_upgrade()
    guest.half_close()
    await wait_end(guest)


async def asks_in_pieces(guest, dice):
    await guest.connect()
    guest.listen()
    raw = upgrade_head(guest.path)
    cut = dice.randrange(1, len(raw))
    await guest.send(raw[:cut])
    await guest.pause(moment(guest, dice))
    await guest.send(raw[cut:])
    guest.asked_at = guest.crowd.now()
    await guest.until(guest.closing)
    await guest.say_close(guest.close_read)
    await wait_end(guest)


async def is_not_let_in(guest, dice):
    raw = [upgrade_head('/nowhere'), upgrade_head(guest.path).replace(b': 13', b': 12'),
           upgrade_head(guest.path, headers=['Origin: https://elsewhere.example'])]
    await guest.ask(dice.choice(raw))
    await wait_end(guest)


async def asks_nonsense(guest, dice):
    await guest.ask(dice.choice(BAD_REQUESTS))
    await guest.until(lambda: False, guest.crowd.span)
    await guest.leave()


# --- plain HTTP ---

async def visits(guest, dice):
    await guest.ask(request_head(dice.choice(guest.crowd.pages), dice.choice(['GET', 'POST'])))
    await wait_end(guest)


async def visits_and_leaves(guest, dice):
    await guest.ask(request_head(dice.choice(guest.crowd.pages)))
    await guest.pause(moment(guest, dice) / 10)
    await guest.leave(reset=dice.random() < 0.5)


async def reads_slowly(guest, dice):
    """Takes the beginning of a large answer, and nothing more until all is over."""
    await guest.connect(receive_buffer=4096)
    await guest.send(request_head(guest.crowd.large))
    guest.asked_at = guest.crowd.now()
    guest.head_alone = True
    guest.listen()
    await wait_end(guest)
