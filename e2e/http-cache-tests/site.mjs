// The origin's answers as a folder to deploy: one file for each test, and rules for its headers.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { httpDate } from 'http-cache-tests/lib/utils.mjs'
import { FILES, LANGUAGES, ruleHeaders } from './mapping.mjs'

export const pathOf = test => `/${test.id}.txt`

// Long enough to be compressed (from 1 KiB on) where the test is about variants.
export function contentOf (group, test) {
  if (group.id.startsWith('vary')) return `${test.name}\n`.repeat(40)
  return FILES[test.id] ?? test.requests[0].response_body ?? `${test.id}\n`
}

// What a visitor with the test's language of LANGUAGES gets instead.
export const contentOfLanguage = (group, test) => contentOf(group, test).toUpperCase()

// What `_headers` sets for the test's path, with the dates that the suite gives as seconds from now.
export function headersOf (test, now) {
  const answer = test.requests[0].response_headers ?? []
  return ruleHeaders(answer).map(([name, value]) =>
    [name, typeof value === 'number' ? httpDate(now, value) : value])
}

export async function write (dir, asked, now) {
  const headers = []
  const redirects = []
  await mkdir(join(dir, 'language'), { recursive: true })
  for (const { group, test } of asked) {
    await writeFile(join(dir, pathOf(test)), contentOf(group, test))
    headers.push(pathOf(test), ...headersOf(test, now).map(([name, value]) => `  ${name}: ${value}`))
    if (group.id === 'conditional-lm' && !isDated(test)) headers.push('  ! Last-Modified')
    if (test.id in LANGUAGES) {
      const other = `/language${pathOf(test)}`
      await writeFile(join(dir, other), contentOfLanguage(group, test))
      redirects.push(`${pathOf(test)} ${other} 200! Language=${LANGUAGES[test.id]}`)
    }
  }
  await writeFile(join(dir, '_headers'), headers.join('\n') + '\n')
  await writeFile(join(dir, '_redirects'), redirects.join('\n') + '\n')
}

function isDated (test) {
  return test.requests[0].response_headers.some(([name]) => name === 'Last-Modified')
}
