import urllib.request

print(len(urllib.request.urlopen("http://server/").read()))
