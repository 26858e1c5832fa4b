#!/usr/bin/env node
import{n as cancelled,t as UserError}from"./chunks/errors.js";import{n as WITHIN,t as VARIANT_REQUIREMENTS}from"./chunks/variant.js";import{a as modes,i as commandLines,n as parseInputs,r as ARGUMENTS}from"./chunks/inputs.js";import{r as toldError,t as errorLines}from"./chunks/errors2.js";import{fileURLToPath}from"node:url";import{parseArgs,styleText}from"node:util";import{resolve}from"node:path";function readChange({engine,image,model,gpus,arg=[],env=[],require=`identical`}){let required=require.trim();if(!VARIANT_REQUIREMENTS.some(one=>one===required)&&!WITHIN.test(required))throw invalid(`\`--require\` is \`${required}\`.`,`It is ${VARIANT_REQUIREMENTS.map(one=>`\`${one}\``).join(`, `)}, or a distance such as \`within 2x floor\`.`);let args=pairs(`--arg`,arg).map(([name,text])=>[name,readValue(text)]);return{required,change:{...engine===void 0?{}:{engine},...image===void 0?{}:{image},...model===void 0?{}:{model:modelOf(model)},...gpus===void 0?{}:{gpus:gpus===`none`?gpus:Number(gpus)},...args.length===0?{}:{args:Object.fromEntries(args)},...env.length===0?{}:{env:Object.fromEntries(pairs(`--env`,env))}}}}function readValue(text){try{return JSON.parse(text)}catch{return text}}function modelOf(text){let[,id,revision]=/^([\w.-]+\/[\w.-]+)@(.+)$/.exec(text)??[];return id===void 0||revision===void 0?{path:text}:{id,revision}}function pairs(flag,given){return given.map(pair=>{let at=pair.indexOf(`=`);if(at<1)throw invalid(`\`${flag} ${pair}\` has no value.`,`It is written \`${flag} NAME=VALUE\`.`);return[pair.slice(0,at),pair.slice(at+1)]})}const invalid=(message,hint)=>new UserError(`input-invalid`,message,hint),USAGE=`deterministic-ml <command> [options]

Commands
${commandLines().map(line=>`  ${line}`).join(`
`)}

Options
  --reason TEXT              why the baseline is refreshed, or a drift accepted
  --suite PATH               accept, review: the suite, where it is not where the report says
  --yardstick                measure known changes too at a refresh, one engine start each
  --dry-run                  refresh: measure and show what would change, store nothing; init: write nothing
  --store-unchanged          refresh: store a new entry even if nothing changed
  --runtime auto|docker|process
  --python PATH              Python of the process runtime
  --isolation auto|required|none  of its engine from this shell (auto)
  --gpu-devices LIST         indices or UUIDs, separated by commas
  --cpu-sets "SET SET"       CPUs for each of the engines that run at once, e.g. "0-7 8-15"
  --timeout-minutes N        until the engine is stopped (60)
  --inactivity-minutes N     without a sign of life until it counts as hung (20)
  --record-path FOLDER       where the record goes; of import the records, of explain the page (.deterministic-ml/…)
  --expected-reports N       report, review: how many there must be at least (1)
  --baseline-path FOLDER     verify: the baseline, where it is not beside the record; log: a baseline's folder
  --from "… serve …"         init: the command line that serves the model today
  --model OWNER/NAME         init: the model of the hub; compare: OWNER/NAME@COMMIT or a folder
  --engine NAME              init: the engine (with --from: the one that it serves by); compare: of the second side
  --image IMAGE:TAG          init: the image that has it, else the engine's own; compare: of the second side
  --gpus N|none              init: how many GPUs the suite asks for; compare: the second side
  --arg NAME=VALUE           compare: an argument of the second side's engine; as often as there are any
  --env NAME=VALUE           compare: a variable of the second side's engine
  --require WHAT             compare: identical (default), tokens, "within 2x floor" or measure
  --action OWNER/NAME@REF    init: this action, as the workflows name it
  --force                    init: write over files that are there
  --budget N                 bisect: engine starts at most (8)
  --records FOLDER           validate: earlier records, by which it tells what runs cost (.deterministic-ml/records)
  --json                     the report as JSON on stdout; everything else goes to stderr
  --help

Colours follow NO_COLOR, FORCE_COLOR and TERM. Needs Node 24 or newer.

Exit codes
  0  the suite's policy lets the conclusion pass   2    error: code, place and remedy on stderr
  1  the conclusion fails the policy               130  cancelled
`,EXIT={pass:0,warn:0,fail:1,error:2,cancelled:130},OPTIONS={reason:{type:`string`},yardstick:{type:`boolean`},"dry-run":{type:`boolean`},"store-unchanged":{type:`boolean`},runtime:{type:`string`},python:{type:`string`},isolation:{type:`string`},"gpu-devices":{type:`string`},"cpu-sets":{type:`string`},"timeout-minutes":{type:`string`},"inactivity-minutes":{type:`string`},"record-path":{type:`string`},"baseline-path":{type:`string`},"expected-reports":{type:`string`},budget:{type:`string`},records:{type:`string`},suite:{type:`string`},from:{type:`string`},model:{type:`string`},engine:{type:`string`},image:{type:`string`},gpus:{type:`string`},arg:{type:`string`,multiple:!0},env:{type:`string`,multiple:!0},require:{type:`string`},action:{type:`string`},force:{type:`boolean`},json:{type:`boolean`},help:{type:`boolean`}};function parseCommandLine(){let usage=(message,cause)=>new UserError(`input-invalid`,message,"`deterministic-ml --help` lists commands and options.",{cause}),parsed;try{parsed=parseFlags()}catch(cause){throw usage(cause instanceof Error?cause.message:String(cause),cause)}let{values,positionals}=parsed;if(values.help===!0)return;let[name=``,file,...rest]=positionals,mode=modes.find(candidate=>candidate.name===name);if(mode===void 0)throw usage(name===``?`A command is missing.`:`\`${name}\` is not a command.`);let{what,...argument}=ARGUMENTS[mode.takes];if(rest.length>0&&!(`several`in argument))throw usage(`\`${rest[0]}\` is one argument too many.`);if(file!==void 0&&mode.takes===`nothing`)throw usage(`\`${name}\` takes no argument.`);if(file===void 0&&what!==void 0)throw usage(`\`${name}\` needs ${what}.`);let{"record-path":recordPath,"baseline-path":baselinePath}=values,{arg,env,require,...single}=values,flags={"record-path":`.deterministic-ml/records/${(/* @__PURE__ */ new Date()).toISOString().replaceAll(`:`,`-`)}`,...single,"github-token":process.env.GITHUB_TOKEN,"hub-token":process.env.HF_TOKEN,[mode.takes]:file},input=flag=>String(flags[flag]??``).trim(),harness=fileURLToPath(new URL(`../docker/harness`,import.meta.url)),paths=positionals.slice(1).map(path=>resolve(path)),named={reportPath:file??``,days:file,code:file,recordsPath:values.records,suitePath:values.suite,init:{from:values.from,model:values.model,engine:values.engine,image:values.image,gpus:values.gpus,force:values.force===!0,action:values.action??`org/deterministic-ml-action@v1`},recordPath,baselinePath,paths,...name===`compare`?readChange({...single,arg,env,require}):{}};return{inputs:parseInputs(input,door(),localEnvironment(),harness,{mode,named}),json:values.json===!0}}const parseFlags=()=>parseArgs({options:OPTIONS,allowPositionals:!0,strict:!0}),door=()=>(process.env.GITHUB_EVENT_NAME??``)===``?`terminal`:`action`;function localEnvironment(){let started=String(Date.now());return{GITHUB_ACTOR:process.env.USER??`unknown`,GITHUB_RUN_ID:started,GITHUB_REPOSITORY:`local`,GITHUB_WORKFLOW:`deterministic-ml`,GITHUB_WORKSPACE:resolve(`.`),...process.env}}function tell(error){let told=toldError(error),{code}=told,[first=``,...rest]=errorLines(told,6e4),red=styleText([`bold`,`red`],code,{stream:process.stderr});for(let line of[`${red}${first.slice(code.length)}`,...rest])process.stderr.write(`${line}\n`);process.exitCode=code===`cancelled`?EXIT.cancelled:EXIT.error}Number.parseInt(process.versions.node,10)<24&&(process.stderr.write(`deterministic-ml needs Node 24 or newer, and this is ${process.versions.node}.\nInstall it, or start this with \`npx --yes node@24\` in place of \`node\`.\n`),process.exit(EXIT.error));const abort=new AbortController;for(let signal of[`SIGINT`,`SIGTERM`])process.on(signal,()=>abort.abort(cancelled()));try{let invocation=parseCommandLine();if(invocation===void 0)process.stdout.write(USAGE);else{let{runCommand}=await import(`./chunks/command.js`),dumb=process.env.TERM===`dumb`;process.exitCode=EXIT[await runCommand(invocation,abort.signal,{dumb})]}}catch(error){tell(error)}process.exit();export{};