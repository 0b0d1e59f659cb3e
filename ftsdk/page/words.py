"""The page's words in English and Chinese. A template asks with the English text, so English needs no table."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

LANGUAGES: Final = {"en": "English", "zh": "中文"}
LANGUAGE_COOKIE: Final = "ftsdk-language"
CHINESE: Final = {
    "Jobs": "任务",
    "Skip to content": "跳到正文",
    "Language": "语言",
    "Filter": "筛选",
    "Compare curves": "对比曲线",
    "Curves": "曲线",
    "Log": "日志",
    "Job": "任务",
    "State": "状态",
    "Reason": "原因",
    "Attempt": "尝试",
    "Started": "开始时间",
    "Compare": "对比",
    "All jobs, newest first": "全部任务，最新在前",
    "There is no job yet.": "还没有任务。",
    "Keys: / filter, j and k move, Enter opens": "快捷键：/ 筛选，j 和 k 移动，Enter 打开",
    "Search": "搜索",
    "Jump to the end": "跳到末尾",
    "lines": "行",
    "Cancel": "取消任务",
    "Submit again": "重新提交",
    "loading": "加载中",
    "Cost": "费用",
    "Step": "步数",
    "ago": "前",
    "Cancel this job?": "确定取消该任务？",
    "Submit this training?": "确定提交该训练？",
    "New training": "新建训练",
    "Recipe": "配方",
    "Backend": "后端",
    "Estimate": "预估",
    "Submit": "提交",
    "Show the plan": "查看计划",
    "Choose": "选择",
    "Chat": "对话",
    "Send": "发送",
    "Message": "消息",
}


def language(request: Request) -> str:
    """`en` or `zh`: as chosen on the page, else as the browser prefers."""
    chosen = request.query_params.get("lang") or request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    return "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"


def translated(text: str, to: str) -> str:
    """A text of the page in a language."""
    return CHINESE[text] if to == "zh" else text
