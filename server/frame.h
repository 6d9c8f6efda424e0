/*
 * frame: the frames of RFC 6455 and the UTF-8 in them, as a server reads and writes them.
 *
 * Bytes in, events out; no I/O, no clock, no allocation. A parser is fed whatever arrived, in any
 * chops, and hands back payload in place, already unmasked and checked. Knows no session.
 * Nothing here is locked: a parser belongs to one thread at a time.
 */
#ifndef LASTCALL_SERVER_FRAME_H
#define LASTCALL_SERVER_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 6455, section 11.8. */
enum frame_opcode {
    FRAME_CONTINUATION = 0x0,
    FRAME_TEXT = 0x1,
    FRAME_BINARY = 0x2,
    FRAME_CLOSE = 0x8,
    FRAME_PING = 0x9,
    FRAME_PONG = 0xA,
};

/* RFC 6455, section 7.4.1, and its registry. */
enum close_code {
    CLOSE_NORMAL = 1000,
    CLOSE_GOING_AWAY = 1001,
    CLOSE_PROTOCOL_ERROR = 1002,
    CLOSE_UNSUPPORTED_DATA = 1003,
    CLOSE_NO_STATUS = 1005, /* never on the wire: the peer's Close had no code */
    CLOSE_ABNORMAL = 1006,  /* never on the wire: there was no Close */
    CLOSE_INVALID_DATA = 1007,
    CLOSE_POLICY = 1008,
    CLOSE_TOO_LARGE = 1009,
    CLOSE_HANDLER_FAILED = 1011,
    CLOSE_TRY_LATER = 1013,
    CLOSE_BAD_GATEWAY = 1014,
};

#define FRAME_CONTROL_MAX 125 /* payload of a control frame, section 5.5 */
#define FRAME_HEADER_MAX 10   /* of a frame that a server sends: never masked */
#define CLOSE_REASON_MAX (FRAME_CONTROL_MAX - 2)

/* A UTF-8 check that can be fed in pieces. Zeroed: at the start of a character. */
struct utf8 {
    uint8_t left;   /* continuation bytes still wanted */
    uint8_t lowest; /* the next one's range, when it is narrower than 80..BF; else 0 */
    uint8_t highest;
};

/*
 * Feeds `length` bytes. Returns whether everything so far can still become valid UTF-8
 * (RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF); false is final.
 */
bool utf8_feed(struct utf8 *utf8, const void *data, size_t length);

/* Whether the bytes fed so far end on a whole character. */
bool utf8_done(const struct utf8 *utf8);

/* Whether a peer may send this code in a Close frame (section 7.4). */
bool close_code_valid(uint16_t code);

/* Treat the members as private; initialise with frame_parser_init. */
struct frame_parser {
    uint64_t message_limit; /* bytes of one message over all its fragments */
    uint64_t message_size;  /* of the message in progress, claimed by headers so far */
    uint64_t payload_left;  /* of the frame in progress */
    uint8_t mask[8];        /* the mask twice: four bytes from mask_offset on are the mask turned */
    uint8_t mask_offset;    /* 0..3: where in the mask the next payload byte stands */
    uint8_t stage;          /* header, payload or failed */
    uint8_t failure;        /* failed: why, a row of the table of failures */
    uint8_t header_have;    /* bytes of the header so far */
    uint8_t control_have;   /* payload bytes of the control frame so far */
    uint8_t opcode;         /* of the frame in progress */
    uint8_t message;        /* opcode of the message in progress; 0: none */
    bool fin;
    bool started;    /* an event of the message in progress has been given */
    bool deflate;    /* RSV1 may say that a message is compressed */
    bool compressed; /* the message in progress is */
    struct utf8 utf8;
    uint8_t header[14];
    uint8_t control[FRAME_CONTROL_MAX];
};

/* What frame_parse found. */
enum frame_event {
    FRAME_NEED_MORE, /* all input is consumed */
    FRAME_DATA,      /* a piece of a message */
    FRAME_CONTROL,   /* a whole control frame */
    FRAME_FAILED,    /* the peer broke the protocol: final, close with `code` */
};

/* The details of an event. `data` is valid until the parser or its input is touched again. */
struct frame_found {
    uint8_t opcode;     /* FRAME_DATA: the message's, TEXT or BINARY; FRAME_CONTROL: the frame's */
    bool first;         /* FRAME_DATA: the message begins with this piece */
    bool last;          /* FRAME_DATA: the message ends with this piece */
    bool compressed;    /* FRAME_DATA: the message is (RFC 7692); text has not been checked then */
    uint64_t remaining; /* FRAME_DATA: bytes of this frame that have not arrived yet */
    uint8_t *data;
    size_t length;
    uint16_t code;       /* FRAME_FAILED: CLOSE_PROTOCOL_ERROR, _INVALID_DATA or _TOO_LARGE;
                            FRAME_CONTROL of a Close: the peer's code, or CLOSE_NO_STATUS (its
                            reason is then data and length: without the code) */
    const char *failure; /* FRAME_FAILED: what was wrong, for the Close frame and the log */
};

/*
 * A message larger than `message_limit` bytes fails with CLOSE_TOO_LARGE from its header alone.
 * `deflate`: permessage-deflate was agreed on, and the first frame of a message may have RSV1 set
 * (RFC 7692, section 6). Of one that is compressed an eighth more than the limit, and 64 bytes, are
 * let through here, as much as deflate can add to what it cannot compress: whoever expands it sees
 * whether it is within the limit.
 */
void frame_parser_init(struct frame_parser *parser, uint64_t message_limit, bool deflate);

/*
 * Looks at `input`, consumes some of it (*consumed bytes) and reports one event. Call again with
 * the rest until FRAME_NEED_MORE. Payload is unmasked in place, so `input` is changed. An empty
 * message, and each empty fragment, gives one FRAME_DATA of length 0. Text is checked as UTF-8 byte
 * by byte, across fragments, and fails at the first byte that cannot be right (section 8.1);
 * control frames may come between fragments.
 *
 * Fails with 1002 for: no mask (5.1), RSV bits (5.2), a reserved opcode (5.2), a length that is
 * not in its shortest form or has its highest bit set (5.2), a fragmented or too long control
 * frame (5.5), a continuation of nothing, a new message inside another (5.4), a Close with one
 * byte or a code that must not be sent (5.5.1, 7.4); with 1007 for text, or a Close's reason,
 * that is not UTF-8; with 1009 for a message over the limit.
 */
enum frame_event frame_parse(struct frame_parser *parser, uint8_t *input, size_t length,
                             size_t *consumed, struct frame_found *found);

/* Whether nothing has arrived of a frame or a message that is not whole yet. */
bool frame_parser_resting(const struct frame_parser *parser);

/* Added to an opcode for frame_header: the message is compressed (RFC 7692, section 6). */
#define FRAME_COMPRESSED 0x40

/*
 * Writes the header of an unfragmented, unmasked frame with `length` bytes of payload (5.2).
 * Returns its size: 2, 4 or 10.
 */
size_t frame_header(uint8_t header[FRAME_HEADER_MAX], unsigned opcode, uint64_t length);

/*
 * Writes a whole Close frame. CLOSE_NO_STATUS gives one without payload; a reason that is too
 * long is cut at a character's border. Returns its size.
 */
size_t frame_close(uint8_t frame[2 + FRAME_CONTROL_MAX], uint16_t code, const char *reason);

#endif
