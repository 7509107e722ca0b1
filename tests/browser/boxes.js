// All text of a drawing as turned boxes, in its own coordinates: [text, class, four corners]; and the view.
(svg) => {
  const view = svg.viewBox.baseVal;
  const texts = [...svg.querySelectorAll("text")].filter(
    (text) => text.textContent && getComputedStyle(text).display !== "none" && text.getClientRects().length,
  );
  const origin = svg.getScreenCTM().inverse();
  return {
    view: [view.x, view.y, view.width, view.height],
    boxes: texts.map((text) => {
      const box = text.getBBox();
      const matrix = origin.multiply(text.getScreenCTM());
      const corners = [
        [box.x, box.y + 2],
        [box.x + box.width, box.y + 2],
        [box.x + box.width, box.y + box.height - 3],
        [box.x, box.y + box.height - 3],
      ].map(([x, y]) => {
        const point = new DOMPoint(x, y).matrixTransform(matrix);
        return [point.x, point.y];
      });
      return [text.textContent, text.getAttribute("class"), corners];
    }),
  };
}
