import{n as dotted,o as markupOf,r as html,s as ours,t as capped}from"./escape.js";import{C as worstFirst,F as isBroken,_ as isIdentical,g as isDifferent,m as firstModule}from"./words.js";import{n as read}from"./reading.js";const STATES=[`tokens`,`bits`,`unmeasured`,`allowed`,`new`,`same`],MARK={tokens:{glyph:`✕`,name:`other tokens`},bits:{glyph:`≈`,name:`other bits`},unmeasured:{glyph:`?`,name:`unmeasured`},allowed:{glyph:`~`,name:`differs where that is allowed`},new:{glyph:`+`,name:`only on one side`},same:{glyph:`=`,name:`identical`}};function entriesOf(report){let all=/* @__PURE__ */ new Map;for(let relation of read(report).relations)for(let group of relation.groups){let parts=all.get(group.prompt);parts===void 0?all.set(group.prompt,[{...relation,group}]):parts.push({...relation,group})}return[...all].flatMap(([prompt,found])=>{let parts=found.toSorted((a,b)=>worstFirst(a.group.worst,b.group.worst)),worst=parts[0]?.group.worst;return worst===void 0?[]:[{prompt,state:stateOf(parts),worst,parts,module:moduleOf(parts)}]}).sort((a,b)=>rank(a)-rank(b)||worstFirst(a.worst,b.worst))}const rank=({state})=>STATES.indexOf(state);function moduleOf(parts){let[earliest]=parts.flatMap(({group})=>group.findings).filter(({trace})=>trace!==null&&trace.first!==null).sort(firstModule);return earliest?.trace?.first??void 0}function inSuiteOrder(entries,report){let asked=new Map(report.context.places.prompts.map(({id},index)=>[id,index])),found=/* @__PURE__ */ new Map;for(let{findings}of report.relations)for(let{prompt}of findings)found.has(prompt)||found.set(prompt,asked.size+found.size);let place=({prompt})=>asked.get(prompt)??found.get(prompt)??0;return entries.toSorted((a,b)=>place(a)-place(b))}function stateOf(parts){let findings=parts.flatMap(({group})=>group.findings),broken=findings.filter(isBroken);return broken.some(({agreement})=>agreement===`tokens-differ`||agreement===`inputs-differ`)?`tokens`:broken.length>0?`bits`:findings.some(({agreement,holds})=>agreement===`unmeasured`&&!holds)?`unmeasured`:findings.some(isDifferent)?`allowed`:parts.every(({group})=>isIdentical(group))?`same`:`new`}function filtersOf(entries,id){let differing=entries.filter(({state})=>state!==`same`),modules=[...Map.groupBy(differing,({module})=>module)].flatMap(([module,{length}])=>module===void 0?[]:[{module,count:length}]).sort((a,b)=>b.count-a.count),slots=new Map(modules.map(({module},index)=>[module,Math.min(index,8)])),slotOf=({module})=>module===void 0?9:slots.get(module)??9,states=statesPart(entries,id),firsts=modulesPart(modules,differing.length,id);return{part:states===void 0&&firsts===void 0?void 0:html`${states}${firsts}`,by:[states&&`by-state`,firsts&&`by-module`].filter(one=>one!==void 0).join(` `),classes:entry=>`p-${entry.state} at-${slotOf(entry)}`}}function statesPart(entries,id){let counts=STATES.flatMap(state=>{let count=entries.filter(entry=>entry.state===state).length;return count===0?[]:[{state,count}]});if(!(counts.length<2))return html`<fieldset class="filters"><legend>Show</legend>${counts.map(({state,count})=>html`<label class="s-${state}" for="${id(`show-${state}`)}"><input type="checkbox" id="${id(`show-${state}`)}" class="f-${state}" checked> <span class="glyph" aria-hidden="true">${MARK[state].glyph}</span> ${MARK[state].name} <b>${count}</b></label>`)}</fieldset>`}function modulesPart(modules,differing,id){let own=modules.slice(0,8),rest=modules.slice(8).reduce((sum,{count})=>sum+count,0),none=differing-modules.reduce((sum,{count})=>sum+count,0),choices=[...own.map(({module,count},slot)=>({slot,count,name:html`<code>${dotted(module,80)}</code>`})),...rest>0?[{slot:8,count:rest,name:html`another module`}]:[],...none>0?[{slot:9,count:none,name:html`no module seen`}]:[]];if(own.length===0||choices.length<2)return;let choice=(key,className,name,count,checked)=>html`<label for="${id(`first-${key}`)}"><input type="radio" name="${id(`first`)}" id="${id(`first-${key}`)}" class="${className}"${checked}> ${name} <b>${count}</b></label>`;return html`<fieldset class="filters"><legend>First module that differs</legend>${choice(`any`,`g-any`,capped(`any or none`,40),differing,html` checked`)}${choices.map(({slot,count,name})=>choice(String(slot),`g-${slot}`,name,count,void 0))}</fieldset>`}const STYLE=`
:root{color-scheme:light dark;
--bg:#fff;--raised:#f6f6f4;--ink:#191a1d;--quiet:#595d66;--line:#dedfe2;--edge:#858993;
--same:#0b6e63;--bits:#94510a;--tokens:#b3201f;--none:#5d626c;--focus:#1f5fd0;--link:#1b4fae;
--same-fill:#2a9d8f;--bits-fill:#e09f3e;--tokens-fill:#c7362f;--none-fill:#a3a7af;
--mark-bits:#fbe6c4;--mark-tokens:#fad7d3;
--line-1:#6d3fa8;--line-2:#94510a;--line-3:#3457a8;--bundle:#a3a7af;
--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono","DejaVu Sans Mono",monospace}
@media (prefers-color-scheme:dark){:root{
--bg:#131417;--raised:#1c1e22;--ink:#ececee;--quiet:#a4a8b1;--line:#33363c;--edge:#7b808a;
--same:#63cdbd;--bits:#eab567;--tokens:#ff9087;--none:#a8acb5;--focus:#8db4ff;--link:#9dbdff;
--same-fill:#3aa596;--bits-fill:#d39a41;--tokens-fill:#ee6a5f;--none-fill:#6d727c;
--mark-bits:#4a3614;--mark-tokens:#57211d;
--line-1:#c9a5ff;--line-2:#eab567;--line-3:#9dbdff;--bundle:#5e636d}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.55 var(--sans);font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
main,footer{max-width:66rem;margin:0 auto;padding:0 clamp(1rem,4vw,2.5rem)}
main{padding-top:clamp(1.5rem,5vw,3.5rem)}
main:focus{outline:none}
:focus-visible{outline:3px solid var(--focus);outline-offset:2px;border-radius:3px}
a{color:var(--link);text-underline-offset:.18em}
code,pre{font-family:var(--mono);font-size:.88em}
code,.facts .before,.facts .after{user-select:all;-webkit-user-select:all}
p{margin:0 0 .7em;max-width:72ch}
h1,h2,h3,h4{line-height:1.2;text-wrap:balance;margin:0;font-weight:650;letter-spacing:-.01em}
section{padding:2.4rem 0 .4rem}
section>h2,section>h3{font-size:1.35rem;margin-bottom:1rem}
.leg{border-top:2px solid var(--ink);margin-top:3.5rem;padding-top:2.5rem}
small{font-size:.62em;font-weight:500;color:var(--quiet)}
.vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.skip{position:absolute;left:1rem;top:-5rem;background:var(--bg);padding:.6rem 1rem;border:2px solid var(--focus);border-radius:6px;z-index:9}
.skip:focus{top:1rem}
.quiet,.note{color:var(--quiet)}
.quiet,.note,caption,figcaption,.legend,.eyebrow,.hash{font-size:.875rem}
.note{border-left:3px solid var(--line);padding-left:.8rem}
.s-same,.v-pass .badge{color:var(--same)}
.s-bits,.s-allowed,.v-warn .badge{color:var(--bits)}
.s-tokens,.v-fail .badge{color:var(--tokens)}
.s-unmeasured,.s-new{color:var(--none)}
.glyph{display:inline-block;width:1.2em;text-align:center;font-weight:700;font-family:var(--mono)}

.eyebrow{display:flex;flex-wrap:wrap;gap:.1rem .9rem;color:var(--quiet);margin-bottom:1.6rem;max-width:none}
.eyebrow b{color:var(--ink)}
.badge{font-weight:650;margin:0 0 .5rem}
.badge span{display:inline-grid;place-items:center;width:1.5em;height:1.5em;border:2px solid;border-radius:50%;margin-right:.35em;font-size:.85em;line-height:1}
h1 .title,.leg h2 .title{display:block;font-size:clamp(2.4rem,7vw,4rem);letter-spacing:-.03em;line-height:1.04}
.leg h2 .title{font-size:clamp(1.9rem,5vw,2.8rem)}
h1 .title.tally{font-size:clamp(1.9rem,5vw,2.8rem)}
h1 .rest,.leg h2 .rest{display:block;font-size:clamp(1.1rem,2.6vw,1.4rem);font-weight:450;margin-top:.55rem;line-height:1.35;letter-spacing:0}
.answer{font-size:1.2rem;font-weight:600;line-height:1.35;margin:1.1rem 0 0;max-width:44rem}
.meaning{font-size:1.0625rem;margin:1.1rem 0 0}
.causes{margin:.9rem 0 0}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.2rem,1fr));gap:1.2rem 1.6rem;margin:2rem 0 0;padding:1.2rem 0;border:solid var(--line);border-width:1px 0}
.figures dt{font-size:.875rem;color:var(--quiet)}
.figures dd{margin:0}
.figures b{display:block;font-size:1.65rem;font-weight:600;letter-spacing:-.02em;line-height:1.25;margin:.1rem 0}
.figures b code{font-size:.95rem;letter-spacing:0;line-height:1.3;display:block;padding:.28rem 0}
.figures dd>span{font-size:.875rem;color:var(--quiet)}
.next{padding-top:2rem}
.next h2,.next h3{margin-bottom:.6rem}
pre.copy{background:var(--raised);border:1px solid var(--line);border-radius:8px;padding:.8rem 1rem;margin:.2rem 0 1rem;overflow-x:auto;white-space:pre-wrap;user-select:all;-webkit-user-select:all;max-width:56rem}
.notices{margin-top:1.6rem}
.notice{padding:.75rem 1rem;border-left:4px solid var(--edge);background:var(--raised);border-radius:0 6px 6px 0;max-width:none}
.n-warning{border-color:var(--bits-fill)}
.n-warning b>span:first-child{color:var(--bits)}

.contents{margin-top:2rem;border:solid var(--line);border-width:1px 0;font-size:.9rem}
.contents ul{list-style:none;display:flex;flex-wrap:wrap;gap:0 1.4rem;margin:0;padding:.55rem 0}
.contents a{text-decoration:none;display:inline-block;padding:.25rem 0}
.contents a:hover{text-decoration:underline}

.filters{border:0;padding:0;margin:0 0 1rem;display:flex;flex-wrap:wrap;gap:.4rem .6rem}
.filters legend{float:left;padding:.3rem .5rem .3rem 0;color:var(--quiet);font-size:.875rem}
.filters label{display:inline-flex;align-items:center;gap:.35rem;border:1px solid var(--line);border-radius:99px;padding:.25rem .8rem;font-size:.875rem;cursor:pointer}
.filters label:has(:focus-visible){outline:3px solid var(--focus);outline-offset:1px}
.filters input{accent-color:currentColor;margin:0}
.filters label:has([type=checkbox]:not(:checked)){text-decoration:line-through;border-style:dashed}
.filters+.filters{margin-top:-.4rem}
${`@media screen{${[...STATES.map(state=>[`.by-state:has(.f-${state}:not(:checked))`,`.p-${state}`]),...Array.from({length:10},(_,slot)=>[`.by-module:has(.g-${slot}:checked)`,`:not(.at-${slot})`])].map(([when,which])=>`${when} .row${which},${when} .folded${which}{display:none}${when} .cell${which}{visibility:hidden}`).join(``)}.prompts .row:is(:target,:has(>details>:target)){display:list-item!important}}`}
.row:target,.row:has(>details>:target),.names :target{background:var(--raised);box-shadow:-5px 0 var(--focus)}
.inside:target{scroll-margin-top:6rem}
.jump{margin-bottom:.6rem}
.over:not(:focus){position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.mini{--cell:26px;display:flex;flex-wrap:wrap;gap:2px;margin:0 0 1.2rem;padding:3px;max-height:26rem;overflow:auto;content-visibility:auto;contain-intrinsic-height:auto 16rem}
.cell{width:var(--cell);height:var(--cell);border-radius:3px;border:1px solid var(--line);text-align:center;text-decoration:none;color:var(--none);font:700 .8rem/calc(var(--cell) - 2px) var(--mono)}
.cell.p-tokens,.cell.p-bits{color:var(--bg);border:0;line-height:var(--cell)}
.cell.p-tokens{background:var(--tokens)}.cell.p-bits{background:var(--bits)}
.cell.p-allowed{color:var(--bits);border-color:currentColor}.cell.p-unmeasured,.cell.p-new{border:1px dashed}.cell.p-same{color:var(--same)}
@media (pointer:fine){.mini.dense{--cell:15px}.dense .cell{font-size:.625rem}}
.legend{list-style:none;padding:0;margin:0 0 1rem;display:flex;flex-wrap:wrap;gap:.2rem 1.3rem;color:var(--quiet)}
.legend li{display:inline-flex;align-items:center;gap:.45rem}
.key{width:16px;height:16px;flex:none}
.lines .key{width:28px;height:8px}
.c-same,.c-bits,.c-tokens,.c-none,.c-side{fill:none}
.c-same{stroke:var(--same-fill);stroke-width:4}.c-bits{stroke:var(--bits-fill);stroke-width:10}.c-tokens{stroke:var(--tokens-fill);stroke-width:16}.c-none{stroke:var(--none-fill);stroke-width:1}.c-side{stroke:var(--bits-fill);stroke-width:6}
.l-1,.l-2,.l-3,.l-rest{fill:none;stroke-width:2.2}
.l-1{stroke:var(--line-1)}.l-2{stroke:var(--line-2);stroke-dasharray:7 4}.l-3{stroke:var(--line-3);stroke-dasharray:2 3}.l-rest{stroke:var(--bundle);stroke-width:1.4}
.rows{list-style:none;margin:0;padding:0;border-top:1px solid var(--line)}
.row{border-bottom:1px solid var(--line);content-visibility:auto;contain-intrinsic-size:auto 3.6rem}
.line{display:grid;grid-template-columns:1.4rem minmax(7rem,1fr) minmax(0,1.35fr) minmax(8rem,1.5fr) 8.6rem 1rem;gap:.1rem .9rem;align-items:center;padding:.7rem .2rem}
summary{cursor:pointer;list-style:none}
summary::-webkit-details-marker{display:none}
summary::after{content:"";width:.5em;height:.5em;border:solid var(--edge);border-width:0 2px 2px 0;transform:rotate(45deg) translate(-2px,-2px);justify-self:end}
details[open]>summary::after{transform:rotate(225deg) translate(-2px,-2px)}
summary:not(.line){display:inline-flex;align-items:center;gap:.7rem;padding:.5rem 0;color:var(--link)}
summary.line:hover{background:var(--raised)}
.name{font-family:var(--mono);font-size:.9rem;font-weight:600}
.name small{font-family:var(--sans);font-size:.78em}
.line .came{font-size:.9rem;line-height:1.35}
.hash{color:var(--quiet)}
.hash b{color:var(--ink);font-weight:600}
.strip{display:block;width:100%;height:16px}
.inside{padding:.4rem 0 1.6rem 2.3rem}
.part+.part{margin-top:1.6rem;padding-top:1.2rem;border-top:1px dashed var(--line)}
.which{font-size:.9rem;margin-bottom:.5rem}
.kind{display:grid;grid-template-columns:5rem minmax(0,.9fr) minmax(0,1fr);gap:.2rem 1.2rem;padding:.35rem 0;align-items:start;font-size:.9rem}
.kind p{margin:0}
.pass{font-family:var(--mono);font-size:.8125rem;color:var(--quiet);line-height:16px}
.ruler{display:block}
.ticks{display:flex;justify-content:space-between;position:relative;font-size:.75rem;line-height:1.3;color:var(--quiet);padding-top:2px}
.tick{position:absolute;left:max(var(--at),.35em);transform:translateX(-.35em);white-space:nowrap;font-size:.7rem}
.tick b{font-weight:600;margin-left:.2em;font-size:.75rem}
.t-bits{color:var(--bits)}.t-tokens{color:var(--tokens)}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr));gap:1rem 2.4rem}
.closeup{margin-top:1.3rem}
.side{font-size:.875rem;color:var(--quiet);margin-bottom:.35rem}
.tokens{list-style:none;margin:0;padding:.7rem .9rem;background:var(--raised);border-radius:8px;font-family:var(--mono);font-size:.875rem;line-height:1.9;display:flex;flex-wrap:wrap}
.tokens li{white-space:pre-wrap;border-bottom:1px solid var(--edge);margin-right:2px;padding:0 1px;line-height:1.6;margin-bottom:.25rem}
.tokens .other{color:var(--tokens);border-bottom:2px solid}
.tokens .here{border:0;padding:0}
mark{color:var(--ink);border-radius:3px;padding:.1em .25em;font-weight:700;border:1.5px solid}
.m-bits{background:var(--mark-bits);border-color:var(--bits-fill)}
.m-tokens{background:var(--mark-tokens);border-color:var(--tokens-fill)}
.sp,.id{color:var(--quiet)}
mark .sp,mark .id{color:inherit}

table{border-collapse:collapse;width:100%;font-size:.9rem;margin:.6rem 0 1.2rem}
caption{text-align:left;color:var(--quiet);padding-bottom:.5rem}
th,td{text-align:left;vertical-align:top;padding:.42rem 1rem .42rem 0;border-bottom:1px solid var(--line);font-weight:400}
thead th{color:var(--quiet);font-size:.8125rem;border-bottom-color:var(--edge);overflow-wrap:normal}
tbody th{font-weight:500}
.n{text-align:right;white-space:nowrap}
thead th.n{white-space:normal}
th.n:last-child,td.n:last-child{padding-right:0}
.bar{display:inline-block;width:100%;height:.62rem;background:var(--raised);border-radius:2px;overflow:hidden;vertical-align:middle;box-shadow:inset 0 0 0 1px var(--line)}
.bar i{display:block;height:100%;width:var(--p);min-width:1px;background:var(--none-fill)}
.bar.chosen i{background:var(--ink)}
.tops{margin-top:1.2rem}
.tops th[scope=row]{font-family:var(--mono);width:16%}
.tops td{width:34%}
.tops .cell{display:grid;grid-template-columns:minmax(2.5rem,8rem) auto 1fr;align-items:center;gap:0 .6rem}
.tops .cell>span:not(.bar){white-space:nowrap}
.tops td.n{width:auto;font-size:.8125rem}
.tops .quiet{font-size:.8125rem}
.prob{font-weight:600}
.took{font-size:.8125rem;font-weight:600;white-space:nowrap}
.scale{max-width:46rem}
.scale td:nth-child(2){width:38%;vertical-align:middle}
.k-drift th,.k-drift td{font-weight:700;background:var(--raised)}
.k-drift .bar i{background:var(--ink)}
.k-floor .bar i,.k-bound .bar i{background:var(--same-fill)}
.facts td,.facts th{font-size:.875rem}
.facts .before{color:var(--quiet)}
.facts td:nth-child(2){overflow-wrap:normal}
.facts th[scope=row]{min-width:5.5rem}
.overview{margin-top:1.8rem}
.overview a{font-weight:600}
.overview th[scope=row]{width:16rem}
.profile{margin:2rem 0 1rem}
.profile figcaption{margin-bottom:.6rem;color:var(--quiet)}
.profile figcaption b{color:var(--ink)}
.chart{display:block;width:100%;height:auto;max-width:920px}
.chart text{font-family:var(--sans);font-size:12px;font-variant-numeric:tabular-nums}
.chart .mark{fill:var(--quiet)}
.chart .m-floor,.chart .m-bound{fill:var(--same)}
.chart .leader{fill:none;stroke:var(--edge);stroke-width:1}
.narrow,.legend.narrow{display:none}
.legend.narrow .m-floor b,.legend.narrow .m-bound b{color:var(--same)}
.first{font-size:1.0625rem}
.first>span{color:var(--tokens)}
.scroll{overflow-x:auto}
.map th[scope=row]{white-space:nowrap;width:1%;font-size:.875rem}
.map td,.map th[scope=row]{vertical-align:middle;padding-top:.2rem;padding-bottom:.2rem}
.map th[scope=row]{padding-top:.2rem;padding-bottom:.2rem}
.map .where{width:17rem;font-size:.8125rem;color:var(--quiet);padding-right:0}
.is-first th,.is-first .where{font-weight:700;color:var(--tokens)}
.cells{display:block;width:100%;min-width:7rem;height:16px}
.cells.alone{width:16px;min-width:0}
.first-mark{fill:none;stroke:var(--ink);stroke-width:2.5;vector-effect:non-scaling-stroke}
.relations,.plain,.names{list-style:none;margin:0;padding:0}
.relations>li{border-top:1px solid var(--line);padding:.9rem 0 .3rem;break-inside:avoid}
.relations .head{margin-bottom:.25rem}
.relations li p:not(.head){padding-left:1.6rem;font-size:.9375rem;margin-bottom:.35rem}
.came{font-weight:550}
.line .came{font-weight:450}
.plain li{padding:.15rem 0 .15rem 1.4rem;text-indent:-1.4rem;font-size:.9375rem}
.names{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;font-family:var(--mono);font-size:.8125rem}
.folded{margin-top:.8rem}
.ids{margin:1.6rem 0 0;font-size:.9rem}
.ids>div{display:grid;grid-template-columns:11rem 1fr;gap:.1rem 1rem;padding:.38rem 0;border-top:1px solid var(--line)}
.ids dt{color:var(--quiet)}
.ids dd{margin:0}
footer{padding-top:3rem;padding-bottom:3rem;color:var(--quiet);font-size:.875rem}

.pairs{display:block;max-width:none}
.pairs text{font-family:var(--sans);font-size:12px;fill:var(--ink)}
.pairs .letter{font-weight:700}
.pairs .edge{fill:none;stroke:var(--edge);stroke-width:1.5}
.a-all{fill:var(--same-fill)}.a-some{fill:var(--bits-fill)}.a-none{fill:none;stroke:var(--tokens-fill);stroke-width:2}
.tree,.tree ul{list-style:none;margin:0;padding:0}
.tree ul{margin-left:.55rem;border-left:2px solid var(--line);padding-left:1.3rem}
.tree li{position:relative;padding:.22rem 0}
.tree ul>li::before{content:"";position:absolute;left:-1.3rem;top:1rem;width:1rem;border-top:2px solid var(--line)}
.tree b{font-weight:650}
.group{display:inline-grid;place-items:center;min-width:1.7em;padding:0 .3em;border:2px solid var(--edge);border-radius:.3em;font-weight:700;font-size:.85em;line-height:1.5;margin-right:.35em}
.answer+.note{margin-top:1rem}
.timeline{list-style:none;margin:0;padding:0 0 0 1.4rem;border-left:2px solid var(--line)}
.timeline>li{position:relative;padding-bottom:2.2rem}
.timeline>li::before{content:"";position:absolute;left:calc(-1.4rem - 7px);top:.4rem;width:12px;height:12px;border:2px solid var(--edge);border-radius:50%;background:var(--bg)}
.timeline>.now::before{background:var(--same-fill);border-color:var(--same)}
.timeline h3{font-size:1.1rem;margin-bottom:.5rem}
.when{margin-bottom:.2rem}.when time{color:var(--quiet)}.when b{color:var(--same)}
.timeline .facts td:nth-child(2){overflow-wrap:anywhere}
.moved{font-weight:550}

@media (max-width:48rem){
.wide{display:none}.narrow{display:block;max-width:30rem}.legend.narrow{display:flex}.tops .cell{grid-template-columns:1fr;gap:.1rem}.tops .cell .quiet{display:block}.figures b{font-size:1.35rem}
.line{grid-template-columns:1.4rem 1fr auto 1rem;gap:.25rem .5rem}
.line>.glyph{grid-area:1/1}.line>.name{grid-area:1/2}.line>.hash{grid-area:1/3}.line>.came{grid-area:2/2/auto/5}.line>.strip{grid-area:3/2/auto/5}
summary.line::after{grid-area:1/4}
.inside{padding-left:0}
.kind{grid-template-columns:minmax(0,1fr)}
.ids>div{grid-template-columns:1fr}
.tops{table-layout:fixed}.tops th[scope=row]{width:auto}.tops td,.tops th,.tops .prob{font-size:.8125rem}.tops td{width:auto}.tops td.n{white-space:normal}.tops th:nth-child(2),.tops th:nth-child(3){width:31%}
.facts td,.facts th{font-size:.8125rem}
.map{font-size:.8125rem}.map th[scope=row]{white-space:normal;width:45%;font-size:.75rem}.map .where,.map th:last-child{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);padding:0;border:0}
th,td{padding-right:.6rem}
.overview td:nth-child(2),.overview th:nth-child(2){display:none}
}
@media (prefers-reduced-motion:no-preference){summary::after{transition:transform .12s}}
@media (forced-colors:active){.strip path,.cells path,.key path{forced-color-adjust:none}.bar i{forced-color-adjust:none}}
@media print{
:root{--bg:#fff;--raised:#f6f6f4;--ink:#000;--quiet:#444;--line:#ccc;--edge:#777;--same:#0b6e63;--bits:#94510a;--tokens:#b3201f;--none:#5d626c;--link:#000;--same-fill:#2a9d8f;--bits-fill:#e09f3e;--tokens-fill:#c7362f;--none-fill:#a3a7af;--mark-bits:#fbe6c4;--mark-tokens:#fad7d3;--line-1:#6d3fa8;--line-2:#94510a;--line-3:#3457a8;--bundle:#a3a7af}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
body{font-size:10.5pt}
main,footer{max-width:none;padding-left:0;padding-right:0}
.skip,.over,.jump,.contents,.filters,summary::after{display:none}
.mini{max-height:none;overflow:visible;content-visibility:visible}
.row:target,.row:has(>details>:target),.names :target{background:none;box-shadow:none}
.row{content-visibility:visible;break-inside:auto}
details::details-content{content-visibility:visible!important;display:block!important;block-size:auto!important}
.timeline h3,.part,.kind,.closeup,.figures,pre.copy,.notice,figure,tr,.sides>div{break-inside:avoid}
h1,h2,h3,h4,caption,.line{break-after:avoid}
.scroll{overflow:visible}
}
`;function framed(title,body,{skip,madeOf}){return markupOf(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${ours(`default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'`)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>${title}</title>
<style>${ours(STYLE)}</style>
</head>
<body>
<a class="skip" href="#main">${skip}</a>
<main id="main" tabindex="-1">
${body}
</main>
<footer><p>Made by deterministic-ml from ${madeOf}. This page runs no script and loads nothing.</p></footer>
</body>
</html>
`)}export{entriesOf as a,STATES as i,filtersOf as n,inSuiteOrder as o,MARK as r,framed as t};