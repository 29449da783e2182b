// node main.mjs LOGGIA_BINARY PAGE: asks an edge the suite's tests, prints and writes down the results. The exit status is
// 1 if one failed.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import groups from 'http-cache-tests/tests/index.mjs'
import { ask } from './ask.mjs'
import { deploy, start, stop } from './loggia.mjs'
import { FILES, GROUPS, LANGUAGES, NOT_APPLICABLE, OTHERWISE, WITHOUT_ORIGIN } from './mapping.mjs'
import { count, paste, printed } from './report.mjs'
import { write } from './site.mjs'

const [binary, page] = process.argv.slice(2)
const tests = GROUPS.flatMap(id => {
  const group = groups.find(group => group.id === id)
  return group.tests.map(test => ({ group, test }))
})
const reasonOf = new Map(NOT_APPLICABLE.flatMap(({ why, ids }) => ids.map(id => [id, why])))
const asked = tests.filter(({ test }) => !reasonOf.has(test.id))

// A name that the suite does not have would quietly mean nothing.
function checkNames () {
  const known = new Set(tests.map(({ test }) => test.id))
  const named = [reasonOf.keys(), [OTHERWISE, FILES, LANGUAGES].flatMap(Object.keys), WITHOUT_ORIGIN]
  const strange = named.flatMap(names => [...names]).filter(id => !known.has(id))
  if (strange.length > 0) throw new Error(`the suite has no ${strange.join(', ')}`)
}

async function resultOf (edge, { group, test }, now) {
  const row = { group, test }
  if (reasonOf.has(test.id)) return { ...row, result: 'n. a.', note: reasonOf.get(test.id) }
  const wrong = await ask(edge, group, test, now)
  const otherwise = OTHERWISE[test.id]
  if (otherwise && wrong === otherwise.instead) return { ...row, result: 'otherwise', note: otherwise.why }
  if (otherwise) return { ...row, result: 'fail', note: `${wrong ?? 'as hoped'}; the mapping has: ${otherwise.instead}` }
  return wrong ? { ...row, result: 'fail', note: wrong } : { ...row, result: 'pass' }
}

checkNames()
const loggia = await start(binary)
const results = []
try {
  const now = Date.now()
  const folder = join(loggia.dir, 'site')
  await write(folder, asked, now)
  await deploy(loggia, folder)
  // One after the other: a test's second request is about what its first one left behind.
  for (const entry of tests) results.push(await resultOf(loggia.edge, entry, now))
} finally {
  await stop(loggia)
}

const suite = JSON.parse(readFileSync(new URL('node_modules/http-cache-tests/package.json', import.meta.url)))
const version = execFileSync(binary, ['--version'], { encoding: 'utf8' }).trim()
const reasons = NOT_APPLICABLE.map(({ why }) => why)
await paste(page, `http-cache-tests ${suite.version}, asked of ${version}`, results, reasons)
console.log(printed(results, reasons))
process.exitCode = count(results).fail > 0 ? 1 : 0
