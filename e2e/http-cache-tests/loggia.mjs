// All of Loggia in one process over a temporary folder, and a deployment of it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, chmod, constants, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

// A first start makes a database; minutes only where a machine is very busy.
const READY_WITHIN_MS = 180_000

export async function start (binary) {
  await access(binary, constants.X_OK)
  const dir = await mkdtemp(join(tmpdir(), 'loggia-http-cache-tests-'))
  // Started by root, Postgres runs as another user, who has to reach what is theirs.
  await chmod(dir, 0o711)
  const readyFile = join(dir, 'ready.json')
  const log = await open(join(dir, 'up.log'), 'a')
  const [http, https, api] = await freePorts(3)
  const args = ['up', '--data-dir', join(dir, 'data'), '--ready-file', readyFile,
    '--http-port', http, '--https-port', https, '--api-port', api]
  const child = spawn(binary, args, { cwd: dir, env: bare(), stdio: ['ignore', log.fd, log.fd] })
  const ended = once(child, 'exit')
  const loggia = { binary, dir, child, ended, edge: { port: http, host: 'cache-tests.localhost' } }
  // It goes first; whoever waits for it or asks it fails then, and tidies up.
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => child.kill('SIGTERM'))
  try {
    loggia.told = await ready(readyFile, child)
  } catch (error) {
    const text = await readFile(join(dir, 'up.log'), 'utf8')
    await stop(loggia)
    throw new Error(`${error.message}; it said:\n${text.split('\n').slice(-30).join('\n')}`)
  } finally {
    await log.close()
  }
  return loggia
}

export async function deploy ({ binary, dir, told }, folder) {
  const env = { ...bare(), LOGGIA_API_URL: told.api_url, LOGGIA_TOKEN: told.admin_token }
  const args = ['deploy', folder, '--project', 'cache-tests', '--create', '--json']
  const child = spawn(binary, args, { cwd: dir, env, stdio: ['ignore', 'pipe', 'inherit'] })
  const parts = []
  child.stdout.on('data', part => parts.push(part))
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`loggia deploy ended with ${code}: ${Buffer.concat(parts)}`)
  return JSON.parse(Buffer.concat(parts))
}

export async function stop ({ child, dir, ended }) {
  if (!hasEnded(child)) child.kill('SIGTERM')
  await ended
  await rm(dir, { recursive: true, force: true })
}

async function ready (file, child) {
  const deadline = Date.now() + READY_WITHIN_MS
  while (Date.now() < deadline) {
    if (hasEnded(child)) throw new Error(`loggia up ended with ${child.exitCode ?? child.signalCode}`)
    // Absent, or half written.
    const told = await readFile(file, 'utf8').then(JSON.parse).catch(() => undefined)
    if (told) return told
    await delay(100)
  }
  throw new Error('loggia up was not ready in time')
}

const hasEnded = child => child.exitCode !== null || child.signalCode !== null

// Nothing of the machine's settings leaks in.
function bare () {
  const { PATH, HOME, LOGGIA_POSTGRES_BIN_DIR } = process.env
  return { PATH, HOME, ...(LOGGIA_POSTGRES_BIN_DIR && { LOGGIA_POSTGRES_BIN_DIR }) }
}

// All are held at once, so that no two are the same.
async function freePorts (count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map(server => once(server, 'listening')))
  const ports = servers.map(server => server.address().port)
  await Promise.all(servers.map(server => once(server.close(), 'close')))
  return ports
}
