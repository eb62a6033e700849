"""Carry out a plan of moves, merges and splits of top-level names, and mend every import."""
import ast, json, re, sys, collections, subprocess
from pathlib import Path
R = Path.cwd()
plan = json.load(open(Path(__file__).parent / "plan.json"))
DOC = {f"captchahub/{k}.py": f'"""{v}"""\n' for k, v in {
 "_journal/rows": "Rows of the journal as entries, and what a new job is written with.",
 "_engine/undelivered": "Answers that no caller has got yet.",
 "_config/loader": "Plain values to the settings of a hub, or every problem with them.",
 "_policy/ordering": "The order in which the providers of a route are tried.",
 "_support/tracebacks": "Errors without their frames, which would keep the picture and the request alive.",
 "_support/wording": "Values and near words in messages.",
}.items()}
def mod(path): 
    parts = Path(path).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
files = {str(p.relative_to(R)): p.read_text() for p in sorted((R/"captchahub").rglob("*.py")) if "_new_plugin" not in str(p)}
# final file of each file
def final(f, seen=()):
    if f in plan["merge"]:
        t = plan["merge"][f]; assert t not in seen
        return final(t, (*seen, f)) if t in files else t
    t = plan["move"].get(f, f)
    return t
home_file = {f: final(f) for f in files}
# statements of each file
class Stmt: pass
def names_bound(n):
    if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)): return [n.name]
    if isinstance(n, ast.Assign):
        out = []
        for t in n.targets:
            for x in ast.walk(t):
                if isinstance(x, ast.Name): out.append(x.id)
        return out
    if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name): return [n.target.id]
    if isinstance(n, ast.TypeAlias if hasattr(ast, "TypeAlias") else ()): return [n.name.id]
    return []
info = {}
for f, src in files.items():
    lines = src.splitlines(keepends=True)
    tree = ast.parse(src)
    doc = None; imports = {}; stmts = []; import_nodes = []; all_names = None
    body = tree.body
    i = 0
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) and isinstance(body[0].value.value, str):
        doc = "".join(lines[body[0].lineno-1:body[0].end_lineno]); i = 1
    prev_end = body[i-1].end_lineno if i else 0
    for n in body[i:]:
        start = min([n.lineno] + [d.lineno for d in getattr(n, "decorator_list", [])])
        if isinstance(n, (ast.Import, ast.ImportFrom)):
            if isinstance(n, ast.ImportFrom) and n.module == "__future__": prev_end = n.end_lineno; continue
            for a in n.names:
                if isinstance(n, ast.ImportFrom): imports[a.asname or a.name] = ("from", n.module, a.name, a.asname)
                else: imports[a.asname or a.name.split(".")[0]] = ("import", a.name, None, a.asname)
            prev_end = n.end_lineno; continue
        if isinstance(n, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in n.targets):
            all_names = [e.value for e in n.value.elts]; prev_end = n.end_lineno; continue
        # leading comments
        s = start - 1
        while s > prev_end and lines[s-1].lstrip().startswith("#"): s -= 1
        st = Stmt(); st.text = "".join(lines[s:n.end_lineno]); st.node = n; st.names = names_bound(n); st.file = f; st.orig_order = start
        # attribute docstring
        if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant) and isinstance(n.value.value, str) and stmts:
            stmts[-1].text += "".join(lines[s:n.end_lineno]); prev_end = n.end_lineno; continue
        if isinstance(n, ast.If) and isinstance(n.test, ast.Compare) and all(isinstance(x, (ast.Import, ast.ImportFrom)) for x in n.body):
            st.names = [a.name for x in n.body for a in x.names]
        stmts.append(st); prev_end = n.end_lineno
    info[f] = dict(doc=doc, imports=imports, stmts=stmts, all=all_names)
# home of every name
home = {}   # (module, name) -> module
for f, d in info.items():
    sp = {n: t for t, ns in plan["split"].get(f, {}).items() for n in ns if "." not in n}
    for st in d["stmts"]:
        dest = home_file[f]
        for n in st.names:
            if n in sp: dest = sp[n]
        st.dest = dest
        for n in st.names: home[(mod(f), n)] = mod(dest)
modmap = {mod(f): mod(t) for f, t in home_file.items()}
newfiles = collections.defaultdict(list)
for f in files:
    for st in info[f]["stmts"]: newfiles[st.dest].append(st)
for f in files: newfiles.setdefault(home_file[f], [])
primary = {}
for f in files:
    if f not in plan["merge"]: primary[home_file[f]] = f
ALIAS = {}
def resolve(f, name):
    """how a name used in file f is to be imported in its new file: (module, name, asname) or ('import', ...)"""
    d = info[f]
    if (mod(f), name) in home: return ("def", home[(mod(f), name)], name)
    if name in d["imports"]:
        k = d["imports"][name]
        if k[0] == "import": return ("import", k[1], k[3])
        m, n, a = k[1], k[2], k[3]
        if m == "captchahub" or m.startswith("captchahub."):
            sub = f"{m}.{n}"
            if sub in modmap:      # a module
                new = modmap[sub]; pk, _, last = new.rpartition(".")
                return ("frommod", pk, last, a or n)
            # a name re-exported by that module?
            mm, nn = m, n
            seen = set()
            while (mm, nn) not in home and (mm, nn) not in seen:
                seen.add((mm, nn))
                ff = next((x for x in files if mod(x) == mm), None)
                if ff is None or nn not in info[ff]["imports"]: break
                kk = info[ff]["imports"][nn]
                if kk[0] != "from" or not kk[1].startswith("captchahub"): break
                # stop at public packages which re-export on purpose
                if not any(part.startswith("_") for part in mm.split(".")[1:]) : break
                mm, nn = kk[1], kk[2]
            if (mm, nn) in home: return ("from", home[(mm, nn)], nn, a or (n if n != nn else None) )
            return ("from", modmap.get(m, m), n, a)
        return ("from", m, n, a)
    return None
def used_names(node):
    out = set()
    for x in ast.walk(node):
        if isinstance(x, ast.Name): out.add(x.id)
        elif isinstance(x, ast.Constant) and isinstance(x.value, str) and re.fullmatch(r"[A-Za-z_][\w.\[\], |]*", x.value):
            out.update(re.findall(r"[A-Za-z_]\w*", x.value))
    return out
def import_time(node):
    """names needed when the statement runs"""
    out = set()
    def walk(n, top):
        if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for d in n.decorator_list: out.update(used_names(d))
            for d in n.args.defaults + [k for k in n.args.kw_defaults if k]: out.update(used_names(d))
            return
        if isinstance(n, ast.Lambda): return
        if isinstance(n, ast.ClassDef):
            for d in n.decorator_list + n.bases + [k.value for k in n.keywords]: out.update(used_names(d))
            for b in n.body: walk(b, False)
            return
        if isinstance(n, ast.AnnAssign):
            if n.value: out.update(used_names(n.value))
            return
        if isinstance(n, ast.Name): out.add(n.id)
        for c in ast.iter_child_nodes(n): walk(c, False)
    walk(node, True)
    return out
written = {}
problems = []
for nf, sts in newfiles.items():
    prim = primary.get(nf)
    # order: primary's own first, then by file
    sts = sorted(sts, key=lambda s: (s.file != prim, list(files).index(s.file), s.orig_order))
    bound = collections.Counter(n for s in sts for n in s.names)
    # drop equal duplicates (TypeVars)
    seen_text = {}; keep = []
    for s in sts:
        key = tuple(s.names)
        if key and key in seen_text:
            if seen_text[key].text.strip() == s.text.strip(): continue
            problems.append((nf, key, s.file, seen_text[key].file))
        seen_text[key] = s; keep.append(s)
    sts = keep
    # topological by import-time needs
    local = {n: s for s in sts for n in s.names}
    done, order = set(), []
    def visit(s, stack=()):
        if id(s) in done or s in stack: return
        for n in sorted(import_time(s.node)):
            t = local.get(n)
            if t is not None and t is not s: visit(t, (*stack, s))
        if id(s) not in done: done.add(id(s)); order.append(s)
    for s in sts: visit(s)
    imps = collections.defaultdict(set); plain = set()
    here = mod(nf)
    # type variables go along with what uses them
    tv = {}
    for s in list(order):
        for n in used_names(s.node):
            if n in local: continue
            src = next((x for x in info[s.file]["stmts"] if n in x.names and isinstance(x.node, ast.Assign) and "TypeVar(" in x.text), None)
            if src is not None: tv[n] = src
    for n, src in tv.items():
        order.insert(0, src); local[n] = src
    for s in order:
        for n in used_names(s.node):
            if n in tv or (n in local and "TypeVar(" in local[n].text): continue
            if n in local and (mod(s.file), n) in home and home[(mod(s.file), n)] == here: continue
            r = resolve(s.file, n)
            if r is None: continue
            if r[0] == "def":
                if r[1] != here: imps[r[1]].add(r[2])
            elif r[0] == "import": plain.add(f"import {r[1]}" + (f" as {r[2]}" if r[2] else ""))
            elif r[0] == "frommod": imps[r[1]].add(r[2] if r[2] == r[3] else f"{r[2]} as {r[3]}")
            else:
                if r[1] == here: continue
                imps[r[1]].add(r[2] if not r[3] or r[3] == r[2] else f"{r[2]} as {r[3]}")
    # TypeVars used but left in the other file
    alln = []
    for f in files:
        for n in info[f]["all"] or []:
            if home.get((mod(f), n)) == here: alln.append(n)
            elif (mod(f), n) not in home and home_file[f] == nf: alln.append(n)   # re-exported
    if prim:
        for n in info[prim]["all"] or []:
            if (mod(prim), n) not in home:
                r = resolve(prim, n)
                if r and r[0] == "from" : imps[r[1]].add(n if r[2] == n else f"{r[2]} as {n}")
    doc = info[prim]["doc"] if prim else DOC[nf]
    parts = [doc or "", "\n"]
    if order or imps or plain: parts.append("from __future__ import annotations\n\n")
    parts += [p + "\n" for p in sorted(plain)]
    parts += [f"from {m} import {', '.join(sorted(ns))}\n" for m, ns in sorted(imps.items())]
    if alln: parts.append("\n__all__ = [" + ", ".join(f'"{n}"' for n in sorted(set(alln))) + "]\n")
    for s in order: parts.append("\n\n" + s.text if isinstance(s.node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) else "\n" + s.text)
    written[nf] = "".join(parts)
for p in problems: print("CLASH", p)
for f in files:
    if f.endswith("__init__.py") and home_file[f] == f and info[f]["stmts"] == [] : pass
# write
for f in files: (R/f).unlink()
for nf, text in written.items():
    p = R/nf; p.parent.mkdir(parents=True, exist_ok=True); p.write_text(text)
DOCS = {"config":"``captchahub config``: check, show, schema, init.","demo":"``captchahub demo``.","new_plugin":"``captchahub new-plugin``.","sandbox":"``captchahub sandbox``.","solve":"``captchahub solve``.","_wire":"HTTP as the sandbox speaks it, and how it breaks.","_drawing":"How the pictures of the sandbox are drawn.","_engine":"One solve, from a task to a result or an error.","_providers":"The configured providers, and whether an attempt may start at one.","_journal":"Jobs and money on SQLite.","_http":"Requests out, replies in: the only place that knows of sockets.","_plugins":"Finding, checking and calling plugins.","_policy":"Every rule of the engine that needs no I/O.","_hub":"What Hub and AsyncHub share.","_support":"Tools that know nothing of captchas."}
for d in {p.parent for p in map(Path, written)}:
    init = R/d/"__init__.py"
    if not init.exists() and "captchahub" in str(d): init.write_text(f'"""{DOCS.get(d.name, d.name.strip("_").capitalize() + ".")}"""\n')
# other files
def fix(p, inner=False):
    src = p.read_text(); tree = ast.parse(src); lines = src.splitlines(keepends=True); edits = []
    for n in ast.walk(tree):
        if isinstance(n, ast.ImportFrom) and n.module and (n.col_offset > 0 or not inner) and (n.module == "captchahub" or n.module.startswith("captchahub.")):
            groups = collections.defaultdict(list); changed = False
            for a in n.names:
                sub = f"{n.module}.{a.name}"
                if sub in modmap and modmap[sub] != sub:
                    pk, _, last = modmap[sub].rpartition("."); groups[pk].append(f"{last} as {a.asname or a.name}"); changed = True
                elif (n.module, a.name) in home and home[(n.module, a.name)] != n.module:
                    groups[home[(n.module, a.name)]].append(a.name + (f" as {a.asname}" if a.asname else "")); changed = True
                elif n.module in modmap and modmap[n.module] != n.module:
                    # a re-export
                    ff = next(x for x in files if mod(x) == n.module)
                    r = resolve(ff, a.name)
                    m = modmap[n.module]; nm = a.name
                    if r and r[0] == "from": m, nm = r[1], r[2]
                    groups[m].append(nm + (f" as {a.asname or a.name}" if (a.asname or nm != a.name) else "")); changed = True
                else: groups[n.module].append(a.name + (f" as {a.asname}" if a.asname else ""))
            if changed:
                said = lines[n.lineno-1].partition("  #")
                last = "  #" + said[2].rstrip("\n") if said[1] and n.lineno == n.end_lineno else ""
                ind = " " * n.col_offset
                edits.append((n.lineno, n.end_lineno, "".join(f"{ind}from {m} import {', '.join(ns)}{last}\n" for m, ns in groups.items())))
    if edits:
        for s, e, t in sorted(edits, reverse=True):
            tail = ""
            last = lines[e-1]
            if "#" in last: tail = ""
            lines[s-1:e] = [t]
        p.write_text("".join(lines))
    return bool(edits)
n = 0
for nf in written: fix(R/nf, inner=True)
for g in ("tests/**/*.py", "plugins/**/*.py", "benchmarks/*.py", "examples/**/*.py", "captchahub/cli/_new_plugin/**/*.py"):
    for p in R.glob(g): n += fix(p)
print("files fixed outside", n, "; new files", len(written))
