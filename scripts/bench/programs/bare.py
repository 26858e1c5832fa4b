"""Makes the tokens of a check, or others, with vLLM's offline API and nothing else. A task as JSON on stdin."""

import json
import sys
import time

from vllm import LLM, SamplingParams

task = json.load(sys.stdin)
llm = LLM(model=task["model"], **task["args"])
began = time.monotonic()
made = 0


def sample(prompt, **params):
    """One request at a time; the engine's answer."""
    global made
    sampling = SamplingParams(**params)
    if "messages" in prompt:
        (output,) = llm.chat(prompt["messages"], sampling, use_tqdm=False)
    else:
        (output,) = llm.generate([prompt.get("text", prompt)], sampling, use_tqdm=False)
    made += len(output.outputs[0].token_ids)
    return output


def known(length, **params):
    return {"temperature": 0, "ignore_eos": True, "max_tokens": length, **params}


if task["job"] == "long":
    for prompt in task["prompts"]:
        sample(prompt, **known(512))
else:
    k = task["topK"]
    outputs = [sample(prompt, **prompt["sampling"], logprobs=k) for prompt in task["prompts"]]
    # Forced tokens cost what free ones do: as many of them. Nobody reads their text, here or in a check.
    for prompt, output in zip(task["prompts"], outputs):
        sample(prompt, **known(len(output.outputs[0].token_ids), logprobs=k, detokenize=False))
    for output in outputs:
        sequence = [*output.prompt_token_ids, *output.outputs[0].token_ids]
        sample({"prompt_token_ids": sequence}, **known(1, prompt_logprobs=k, detokenize=False))
    for text in task["texts"]:
        sample(text, **known(1, prompt_logprobs=k, detokenize=False))

print(json.dumps({"engineSeconds": time.monotonic() - began, "tokens": made}))
