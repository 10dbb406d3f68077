#!/usr/bin/env python3
"""Peer for radmill generate: transformers' generate over the same prompts, greedy.

  hf_generate.py --model DIR --make 64 --prompts FILE                     write made-up prompts (token ids, one a line)
  hf_generate.py --model DIR --prompts FILE --answers FILE --batch 16     answer them; prints one JSON line

Prompts are sorted by length, so that a batch holds prompts of nearly one length (the fastest order for it), padded left;
attention sdpa, KV cache on, torch.inference_mode. All are answered twice and the second time counts. Prompts are made up: a fixed
instruction in the model's chat template and findings of a log-normal number of stock sentences.
"""
import argparse, json, math, random, resource, time

ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--model", required=True)
ap.add_argument("--prompts", required=True)
ap.add_argument("--make", type=int, default=0)
ap.add_argument("--answers")
ap.add_argument("--batch", type=int, default=16)
ap.add_argument("--max-new", type=int, default=64)
ap.add_argument("--dtype", default="bf16", choices=["bf16", "f32"])
ap.add_argument("--threads", type=int, default=1)
ap.add_argument("--limit", type=int, default=0, help="only the first prompts")
a = ap.parse_args()

INSTRUCTION = ("You are a radiologist. Read the findings of the report below and write the impression: the few conclusions that "
               "matter for treatment, most important first, without repeating normal findings.\n\nFindings: ")
PARTS = ["lungs", "pleural spaces", "heart", "mediastinum", "aorta", "liver", "spleen", "left kidney", "right kidney", "bladder",
         "thoracic spine", "right hilum", "left lower lobe", "right upper lobe", "pancreas", "gallbladder"]
SAID = ["The {p} is unremarkable.", "There is a {n} mm nodule in the {p}, unchanged since the prior examination.",
        "Mild stranding is seen about the {p}.", "No acute abnormality of the {p} is identified.",
        "The {p} measures {n} mm, previously {m} mm.", "A small amount of fluid is present near the {p}.",
        "Calcification of the {p} is again noted, of doubtful significance."]


def make():
    from transformers import AutoTokenizer
    tok, rng = AutoTokenizer.from_pretrained(a.model), random.Random(1)
    with open(a.prompts, "w") as f:
        for _ in range(a.make):
            n = min(40, max(3, round(math.exp(rng.gauss(math.log(10), 0.5)))))
            text = " ".join(rng.choice(SAID).format(p=rng.choice(PARTS), n=rng.randint(3, 40), m=rng.randint(3, 40))
                            for _ in range(n))
            chat = f"<|im_start|>user\n{INSTRUCTION}{text}<|im_end|>\n<|im_start|>assistant\n"
            f.write(" ".join(map(str, tok(chat, add_special_tokens=False)["input_ids"])) + "\n")


def main():
    import torch, transformers
    from transformers import AutoModelForCausalLM
    torch.set_num_threads(a.threads)
    prompts = [list(map(int, l.split())) for l in open(a.prompts)]
    prompts = prompts[:a.limit] if a.limit else prompts
    model = AutoModelForCausalLM.from_pretrained(a.model, dtype=torch.bfloat16 if a.dtype == "bf16" else torch.float32).eval()
    eos = model.generation_config.eos_token_id or model.config.eos_token_id
    eos = eos if isinstance(eos, list) else [eos]
    answers = [None] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))

    def answer(part):
        longest = max(len(prompts[i]) for i in part)
        ids = torch.tensor([[0] * (longest - len(prompts[i])) + prompts[i] for i in part])
        mask = torch.tensor([[0] * (longest - len(prompts[i])) + [1] * len(prompts[i]) for i in part])
        out = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, num_beams=1, max_new_tokens=a.max_new,
                             eos_token_id=eos, pad_token_id=eos[0])
        for i, row in zip(part, out[:, longest:].tolist()):
            cut = next((k for k, t in enumerate(row) if t in eos), len(row))
            answers[i] = row[:cut]

    with torch.inference_mode():
        for _ in range(2):  # the second time counts
            before, t0 = resource.getrusage(resource.RUSAGE_SELF), time.monotonic()
            for at in range(0, len(order), a.batch):
                answer(order[at:at + a.batch])
        wall, after = time.monotonic() - t0, resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if a.answers:
        with open(a.answers, "w") as f:
            f.writelines(" ".join(map(str, x)) + "\n" for x in answers)
    print(json.dumps({"transformers": transformers.__version__, "torch": torch.__version__, "batch": a.batch, "dtype": a.dtype,
                      "reports": len(prompts), "wall_s": round(wall, 3), "cpu_s": round(cpu, 3),
                      "reports_per_s": round(len(prompts) / wall, 4), "cpu_reports_per_s": round(len(prompts) / cpu, 4),
                      "new_tokens": sum(map(len, answers)), "peak_gib": round(after.ru_maxrss / 2 ** 20, 3)}))


make() if a.make else main()
