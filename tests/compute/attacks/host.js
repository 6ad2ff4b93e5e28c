/**
 * Attacks from the host realm, for one who has broken out of the inner one.
 *
 * "alone": it stays within the process, which is nothing to the kernel.
 * Each begins with its name and the layer that is the first to stop it; "proven": without that layer
 * it gets through, which the suite shows.
 *
 * @file bodies of async functions of (require, process, given), not a module
 */

// ## read a file
// permissions, proven
return 'breach' + require('fs').readFileSync(given.file)

// ## read a file by a promise
// permissions, proven
return 'breach' + await require('fs/promises').readFile(given.file)

// ## read a file by a stream
// permissions, proven
return await new Promise((yes, no) => require('fs').createReadStream(given.file).on('data', (d) => yes('breach' + d)).on('error', no))

// ## read a file by a symbolic link
// permissions, proven
return 'breach' + require('fs').readFileSync(given.link)

// ## read a file as a Blob
// permissions, proven
return 'breach' + await (await require('fs').openAsBlob(given.file)).text()

// ## read a file by Node.js's inner bindings
// permissions
const { internalBinding } = require('internal/test/binding'); const b = internalBinding('fs');
const old = process.version.startsWith('v20'), context = {};
const fd = old ? b.open(given.file, 0, 0o666, undefined, context) : b.open(given.file, 0, 0o666);
if (typeof fd !== 'number') throw Object.assign(new Error('refused'), context);
return 'breach' + require('fs').readFileSync(fd)

// ## read a file by process.binding
// permissions
process.binding('fs').open(given.file, 0, 0); return 'breach'

// ## load a file as a module
// permissions, proven
return 'breach' + JSON.stringify(require(given.json))

// ## import a file
// permissions
const vm = require('vm');
return 'breach' + JSON.stringify((await vm.runInThisContext('(f) => import(f, {with: {type: "json"}})', {importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER})(given.json)).default)

// ## copy a file
// permissions, proven
require('fs').copyFileSync(given.file, given.folder + '/copy'); return 'breach'

// ## list a folder
// permissions, proven
return 'breach' + require('fs').readdirSync(given.folder)

// ## list a folder by fs.glob
// permissions
const names = require('fs').globSync(given.folder + '/*'); return names.length ? 'breach' : 'none'

// ## list a folder by opendir
// permissions, proven
const d = require('fs').opendirSync(given.folder); return 'breach' + d.readSync().name

// ## write a file
// permissions, proven
require('fs').writeFileSync(given.folder + '/new', 'x'); return 'breach'

// ## append to a file
// permissions, proven
require('fs').appendFileSync(given.file, 'x'); return 'breach'

// ## empty a file
// permissions, proven
require('fs').truncateSync(given.file, 0); return 'breach'

// ## remove a file
// permissions, proven
require('fs').unlinkSync(given.file); return 'breach'

// ## rename a file
// permissions, proven
require('fs').renameSync(given.file, given.file + '2'); return 'breach'

// ## make a folder
// permissions, proven
require('fs').mkdirSync(given.folder + '/made'); return 'breach'

// ## make a symbolic link
// permissions, proven
require('fs').symlinkSync(given.file, given.folder + '/link2'); return 'breach'

// ## make a hard link
// permissions, proven
require('fs').linkSync(given.file, given.folder + '/hard'); return 'breach'

// ## change the mode of a file
// permissions, proven
require('fs').chmodSync(given.file, 0o600); return 'breach'

// ## change the times of a file
// permissions, proven
require('fs').utimesSync(given.file, 1, 1); return 'breach'

// ## watch a file
// permissions, proven
require('fs').watch(given.file).close(); return 'breach'

// ## write a heap snapshot
// permissions, proven
require('v8').writeHeapSnapshot(given.folder + '/heap'); return 'breach'

// ## write a diagnostic report
// permissions, proven
process.report.directory = given.folder; const name = process.report.writeReport('report.json');
if (!require('fs').statSync(given.folder + '/report.json')) throw 0; return 'breach' + name

// ## load variables from a file
// permissions
process.loadEnvFile(given.file); return 'breach' + process.env.CANARY

// ## open a database (node:sqlite)
// permissions
const { DatabaseSync } = require('node:sqlite');
new DatabaseSync(given.folder + '/db').exec('create table t (a)'); return 'breach'

// ## secrets in the environment
// surroundings, proven
if (Object.values(process.env).includes(given.secret)) return 'breach'; return 'not there'

// ## secrets in process.report
// surroundings, proven
if (JSON.stringify(process.report.getReport()).includes(given.secret)) return 'breach'; return 'not there'

// ## the environment of Python in /proc
// permissions, proven
if (require('fs').readFileSync(`/proc/${given.python}/environ`, 'latin1').length) return 'breach'

// ## its own /proc/self/environ
// permissions, proven
if (require('fs').readFileSync('/proc/self/environ', 'latin1').includes(given.secret)) return 'breach';
return 'not there'

// ## the memory of another process in /proc
// permissions
require('fs').openSync(`/proc/${given.victim}/mem`, 'r+'); return 'breach'

// ## descriptors that Python left open
// surroundings
const fs = require('fs'); for (let fd = 3; fd < 200; fd++) { try {
const s = fs.fstatSync(fd);
if (s.isFile() && fs.readFileSync(fd, 'utf8').includes(given.secret)) return 'breach' } catch {} }
return 'not there'

// ## the folder that Python works in
// surroundings
if (process.cwd() !== '/') return 'breach ' + process.cwd(); return 'not there'

// ## start a program
// permissions, proven
const r = require('child_process').spawnSync('/bin/echo', ['hi']); if (r.error) throw r.error;
return 'breach' + r.stdout

// ## start a program, not waiting
// permissions, proven
return await new Promise((yes, no) => require('child_process').spawn('/bin/echo').on('spawn', () => yes('breach')).on('error', no))

// ## start a shell
// permissions, proven
return 'breach' + require('child_process').execSync('id')

// ## start another Node.js
// permissions, proven
return 'breach' + require('child_process').execFileSync(process.execPath, ['-p', '1'])

// ## fork
// permissions, proven
return await new Promise((yes, no) => { const c = require('child_process').fork('-e'); c.on('spawn', () => yes('breach')).on('error', no) })

// ## fork by cluster
// permissions, proven
return await new Promise((yes, no) => { const c = require('cluster'); c.setupPrimary({exec: '/nowhere.js'}); c.fork().on('online', () => yes('breach')).on('error', no).on('exit', () => yes('breach')) })

// ## start a program by Node.js's inner bindings
// permissions
const { internalBinding } = require('internal/test/binding');
const { Process } = internalBinding('process_wrap');
const code = new Process().spawn({file: '/bin/true', args: ['true'], stdio: []});
if (code) throw Object.assign(new Error('x'), {code: `errno ${-code}`}); return 'breach'

// ## become another program (process.execve)
// permissions
process.execve('/bin/echo', ['echo', 'breach'], {}); return 'breach'

// ## start a thread
// permissions, proven, alone
return await new Promise((yes, no) => { new (require('worker_threads').Worker)('1', {eval: true}).on('online', () => yes('breach')).on('error', no) })

// ## kill another process
// seccomp, proven
process.kill(given.victim, 'SIGKILL'); return 'breach'

// ## kill Python
// seccomp
process.kill(given.python, 'SIGTERM'); return 'breach'

// ## kill every process
// seccomp
process.kill(-1, 'SIGCONT'); return 'breach'

// ## see whether a process is there
// seccomp, proven
process.kill(given.victim, 0); return 'breach'

// ## open the debugger of another Node.js
// seccomp
process._debugProcess(given.victim); return 'breach'

// ## the priority of another process
// seccomp, proven
require('os').setPriority(given.victim, 19); return 'breach'

// ## be root again
// seccomp, proven
process.setuid(0); process.setgid(0); return process.getuid() === 0 ? 'breach' : 'not root'

// ## groups
// seccomp, proven
process.setgroups([0]); return 'breach'

// ## connect by TCP
// seccomp, proven
return await new Promise((yes, no) => require('net').connect(given.port, '127.0.0.1', () => yes('breach')).on('error', no))

// ## connect by TCP over IPv6
// seccomp
return await new Promise((yes, no) => require('net').connect(given.port, '::1', () => yes('breach')).on('error', no))

// ## connect by a Unix socket
// seccomp, proven
return await new Promise((yes, no) => require('net').connect(given.socket, () => yes('breach')).on('error', no))

// ## connect by an abstract socket
// seccomp
return await new Promise((yes, no) => require('net').connect('\0' + given.abstract, () => yes('breach')).on('error', no))

// ## send by UDP
// seccomp, proven
return await new Promise((yes, no) => { const s = require('dgram').createSocket('udp4').on('error', no); s.send('x', given.udp, '127.0.0.1', (e) => (e ? no(e) : yes('breach'))) })

// ## listen by TCP
// seccomp, proven
return await new Promise((yes, no) => { const s = require('net').createServer().listen(0, '127.0.0.1', () => yes('breach')).on('error', no) })

// ## listen by a Unix socket
// seccomp, proven
return await new Promise((yes, no) => { const s = require('net').createServer().listen(given.folder + '/sock', () => yes('breach')).on('error', no) })

// ## fetch
// seccomp, proven
return 'breach' + (await fetch(`http://127.0.0.1:${given.port}/`)).status

// ## http.get
// seccomp, proven
return await new Promise((yes, no) => require('http').get(`http://127.0.0.1:${given.port}/`, () => yes('breach')).on('error', no))

// ## http2
// seccomp, proven
return await new Promise((yes, no) => require('http2').connect(`http://127.0.0.1:${given.port}`).on('connect', () => yes('breach')).on('error', no))

// ## WebSocket
// seccomp
const W = typeof WebSocket === 'undefined' ? require('internal/deps/undici/undici').WebSocket : WebSocket;
return await new Promise((yes, no) => { const w = new W(`ws://127.0.0.1:${given.port}/`); w.onopen = () => yes('breach'); w.onerror = (e) => no(e.error ?? e) })

// ## look up a name
// seccomp
return 'breach' + (await require('dns/promises').lookup('localhost.localdomain.')).address

// ## ask a name server
// seccomp
const r = new (require('dns').promises.Resolver)({timeout: 300, tries: 1});
r.setServers([`127.0.0.1:${given.udp}`]); await r.resolve4('example.org'); return 'breach'

// ## open the inspector
// permissions, proven
require('inspector').open(0, '127.0.0.1'); return require('inspector').url() ? 'breach' : 'no url'

// ## load an add-on
// permissions
process.dlopen({exports: {}}, given.addon); return 'breach'

// ## require an add-on
// permissions
require(given.addon); return 'breach'

// ## WASI with a folder
// permissions, proven
const { WASI } = require('wasi'); const w = new WASI({version: 'preview1', preopens: {'/': '/'}});
return 'breach'

// ## hooks for modules
// permissions, alone
require('module').register('data:text/javascript,'); return 'breach'

// ## make a core dump
// limits
const fs = require('fs');
if (process.report.getReport().userLimits.core_file_size_blocks.soft !== 0) return 'breach';
return 'limit 0'
