/**
 * `npm run site [-- FOLDER]`: README and docs/ as a site, in `.cache/site` or the folder that is named. A link or an anchor
 * that leads nowhere fails it. Its pages ask nobody else for anything: fonts are the reader's own, the search is a file.
 */
import { copyFile, glob, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { execa } from 'execa';
import { cache, repository } from './setup/cache.ts';
import { ensureMkdocs } from './setup/tools.ts';
import { menuOf, pageOf, placeOf } from './site/pages.ts';

const [out = join(cache, 'site')] = process.argv.slice(2);
const mkdocs = await ensureMkdocs();
const work = `${resolve(out)}.pages`;

const found: string[] = [];
for await (const path of glob(['*.md', 'docs/**/*.{md,png,svg}'], { cwd: repository })) found.push(path);
const files = found.filter((path) => placeOf(path) !== undefined).sort();
const pages = files.filter((path) => path.endsWith('.md'));

await rm(work, { recursive: true, force: true });
for (const path of files) {
  const place = join(work, 'pages', placeOf(path) ?? path);
  await mkdir(dirname(place), { recursive: true });
  if (!path.endsWith('.md')) await copyFile(join(repository, path), place);
  else await writeFile(place, pageOf(path, await readFile(join(repository, path), 'utf8')));
}
for await (const name of glob('*', { cwd: join(repository, 'scripts/site/assets') })) {
  await mkdir(join(work, 'pages/assets'), { recursive: true });
  await copyFile(join(repository, 'scripts/site/assets', name), join(work, 'pages/assets', name));
}
const config = join(work, 'mkdocs.yml');
await writeFile(
  config,
  JSON.stringify({
    INHERIT: join(repository, 'scripts/site/mkdocs.yml'),
    docs_dir: join(work, 'pages'),
    site_dir: resolve(out),
    theme: { custom_dir: join(repository, 'scripts/site/theme') },
    nav: menuOf(pages),
  }),
);
const { failed } = await execa('python3', ['-m', 'mkdocs', 'build', '--strict', '--config-file', config], {
  // --target put it beside its packages, where only this finds it.
  env: { PYTHONPATH: mkdocs, NO_MKDOCS_2_WARNING: '1' },
  stdio: 'inherit',
  reject: false,
});
await rm(work, { recursive: true });
if (failed) process.exitCode = 1;
else console.log(`${pages.length} pages in ${resolve(out)}`);
