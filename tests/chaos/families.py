"""Families of models, which the cells of an endpoint are of (scope.md, section 1)."""


def lasting(state, models):
    """Families of an endpoint whose cells are not well although requests of theirs come: models, all that are asked for. What
    is in `other` changes with what is served, and a request that carries a mark is no trial."""
    marked = {family(m["name"]) for m in state.get("marks") or [] if m["kind"] == "model"}
    asked = {family(m) for m in models}
    return [x["family"] for x in state.get("cells") or [] if x["family"] in asked - marked - {"other"}]


def family(model):
    """As common/policy/model_name, of the names that plans have."""
    if not (model or "").startswith("claude-"):
        return model
    return next((part for part in model.split("-")[1:] if part.isalpha()), model)
