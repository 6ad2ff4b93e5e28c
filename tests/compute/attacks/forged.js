/**
 * What a Node.js that is no longer Bifrost's may write: `send(type, ident, body)`, `raw(bytes)`.
 * All of it ends that Node.js, and nothing else.
 */

// ## the result of another slice
// protocol
send(17, 0, ''); send(18, 1, result)

// ## a second result
// protocol
send(17, 0, ''); send(18, 0, result); send(18, 0, result)

// ## a result of what has not started
// protocol
send(18, 0, result)

// ## two slices at once
// protocol
send(17, 0, ''); send(17, 1, '')

// ## a type that there is not
// protocol
send(99, 0, '')

// ## a frame of Python's own
// protocol
send(2, 0, result)

// ## a length that never comes
// protocol
raw([255, 255, 255, 255, 18, 0, 0, 0, 0])

// ## a console message of 1 GB
// protocol
raw([0, 0, 0, 63, 20, 0, 0, 0, 0])

// ## noise
// protocol
raw(Array.from({length: 5000}, (_, i) => (i * 7919) % 251))

// ## a second READY
// protocol
send(16, 0, '{}')

// ## a READY of something else
// protocol
send(16, 0, '[[[[')

// ## an error whose parts are numbers
// protocol
send(17, 0, '');
send(19, 0, [0x84, 0xa4, ...text('name'), 1, 0xa7, ...text('message'), 1, 0xa5, ...text('stack'), 1, 0xa4, ...text('code'), 1])

// ## an error that is nothing
// protocol
send(17, 0, ''); send(19, 0, [0xc0])

// ## an error that is nested without end
// protocol
send(17, 0, ''); send(19, 0, Array(100000).fill(0x91))

// ## progress that is no number
// protocol
send(17, 0, ''); send(22, 0, [0, 0, 0, 0, 0, 0, 0xf8, 0x7f])

// ## progress beyond its end
// protocol
send(17, 0, ''); send(22, 0, [0, 0, 0, 0, 0, 0, 0xf0, 0x7f])

// ## a console message with bytes in it
// protocol
send(17, 0, ''); send(20, 0, [0x93, 0xc4, 1, 65, 0xc4, 1, 65, 1])

// ## a console message with an extension in it
// protocol
send(17, 0, ''); send(20, 0, [0x93, 0xa1, 65, 0xd4, 5, 0, 1])

// ## a console message that came less than once
// protocol
send(17, 0, ''); send(20, 0, [0x93, 0xa1, 65, 0xa1, 65, 0xff])

// ## an event without a name
// protocol
send(17, 0, ''); send(21, 0, [0x90])

// ## a result without a time
// protocol
send(17, 0, ''); send(18, 0, [1, 2])

// ## a result that took less than no time
// protocol
send(17, 0, ''); send(18, 0, [0, 0, 0, 0, 0, 0, 0xf0, 0xbf, 0])

// ## silence, and the end
// protocol
process.exit(0)

// ## half a frame, and the end
// protocol
raw([9, 0, 0]); process.exit(0)

// ## a pipe that is closed, by a Node.js that goes on
// protocol
send(17, 0, ''); close(); for (;;);

// ## a slice that never begins
// deadline
send(17, 0, ''); send(18, 0, result); for (;;);

// ## a flood of output
// messages
send(17, 0, ''); for (;;) process.stdout.write('x'.repeat(65536));
